#include "pipeline/metrics/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/number_text.h"

/* So that two writers never share a line of a CPU's cache. */
#define SERIES_ALIGNMENT 64u

struct family {
    const struct metric_info *info;
    struct metric_series *first;
    struct metric_series *last;
};

struct metrics {
    pthread_mutex_t lock; /* Guards all below. */
    struct family families[METRIC_FAMILIES_MAX];
    uint32_t family_count;
    uint32_t series_count;
    void (*sample)(void *context);
    void *context;
};

enum status metrics_create(struct metrics **ret_metrics, struct error *error)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics) {
        return error_set(error, STATUS_FATAL, "metrics: out of memory");
    }
    (void)pthread_mutex_init(&metrics->lock, NULL);
    *ret_metrics = metrics;
    return STATUS_OK;
}

static void series_free(struct metric_series *series)
{
    free(series->labels);
    free(series);
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics) {
        return;
    }
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        struct metric_series *next = NULL;
        for (struct metric_series *at = metrics->families[i].first; at; at = next) {
            next = at->next;
            series_free(at);
        }
    }
    (void)pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* ---- Adding and removing ---- */

/* A label's value: backslash, quote and line end are escaped. */
static void append_value(struct byte_buffer *text, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n') {
            byte_buffer_append(text, "\\n", 2);
            continue;
        }
        if (*value == '\\' || *value == '"') {
            byte_buffer_append_byte(text, '\\');
        }
        byte_buffer_append_byte(text, (unsigned char)*value);
    }
}

static void append_text(struct byte_buffer *text, const char *terminated)
{
    byte_buffer_append(text, terminated, strlen(terminated));
}

/* name="value",... and a terminating zero, to free(); NULL: out of memory, or too long. */
static char *make_labels(const struct metric_info *info, const char *const *values)
{
    struct byte_buffer text = {.bytes_max = METRIC_LABEL_BYTES_MAX};
    for (uint32_t i = 0; i < METRIC_LABELS_MAX && info->labels[i]; i++) {
        append_text(&text, i > 0 ? "," : "");
        append_text(&text, info->labels[i]);
        append_text(&text, "=\"");
        append_value(&text, values[i]);
        append_text(&text, "\"");
    }
    byte_buffer_append_byte(&text, '\0');
    if (text.has_failed) {
        byte_buffer_release(&text);
        return NULL;
    }
    return (char *)text.bytes;
}

static struct family *find_family(struct metrics *metrics, const struct metric_info *info)
{
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        if (metrics->families[i].info == info) {
            return &metrics->families[i];
        }
    }
    if (metrics->family_count == METRIC_FAMILIES_MAX) {
        return NULL;
    }
    struct family *family = &metrics->families[metrics->family_count++];
    *family = (struct family){.info = info};
    return family;
}

static enum status link_series(struct metrics *metrics, struct metric_series *series,
                               struct error *error)
{
    struct family *family = find_family(metrics, series->info);
    if (!family || metrics->series_count == METRIC_SERIES_MAX) {
        return error_set(error, STATUS_INVALID, "metrics: %s: more than %u metrics or %u series",
                         series->info->name, METRIC_FAMILIES_MAX, METRIC_SERIES_MAX);
    }
    for (const struct metric_series *at = family->first; at; at = at->next) {
        if (strcmp(at->labels, series->labels) == 0) {
            return error_set(error, STATUS_INVALID, "metrics: %s{%s} is there already",
                             series->info->name, series->labels);
        }
    }
    if (family->last) {
        family->last->next = series;
    } else {
        family->first = series;
    }
    family->last = series;
    metrics->series_count++;
    return STATUS_OK;
}

enum status metrics_add(struct metrics *metrics, const struct metric_info *info,
                        const char *const *values, const void *owner,
                        struct metric_series **ret_series, struct error *error)
{
    assert((info->type == METRIC_HISTOGRAM) == (info->bounds != NULL));
    size_t cells = info->bounds ? info->bounds->count + 2u : 1u;
    size_t bytes = sizeof(struct metric_series) + cells * sizeof(_Atomic uint64_t);
    bytes = (bytes + SERIES_ALIGNMENT - 1) / SERIES_ALIGNMENT * SERIES_ALIGNMENT;
    struct metric_series *series = aligned_alloc(SERIES_ALIGNMENT, bytes);
    char *labels = make_labels(info, values);
    if (!series || !labels) {
        free(series);
        free(labels);
        return error_set(error, STATUS_FATAL,
                         "metrics: %s: out of memory, or labels of more than "
                         "%u bytes",
                         info->name, METRIC_LABEL_BYTES_MAX);
    }
    series->info = info;
    series->next = NULL;
    series->owner = owner;
    series->labels = labels;
    for (size_t i = 0; i < cells; i++) {
        atomic_init(&series->cells[i], 0);
    }
    (void)pthread_mutex_lock(&metrics->lock);
    enum status status = link_series(metrics, series, error);
    (void)pthread_mutex_unlock(&metrics->lock);
    if (status != STATUS_OK) {
        series_free(series);
        return status;
    }
    *ret_series = series;
    return STATUS_OK;
}

static void remove_from(struct metrics *metrics, struct family *family, const void *owner)
{
    struct metric_series **place = &family->first;
    family->last = NULL;
    while (*place) {
        struct metric_series *series = *place;
        if (series->owner == owner) {
            *place = series->next;
            series_free(series);
            metrics->series_count--;
        } else {
            family->last = series;
            place = &series->next;
        }
    }
}

void metrics_remove(struct metrics *metrics, const void *owner)
{
    (void)pthread_mutex_lock(&metrics->lock);
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        remove_from(metrics, &metrics->families[i], owner);
    }
    (void)pthread_mutex_unlock(&metrics->lock);
}

void metrics_set_sampler(struct metrics *metrics, void (*sample)(void *context), void *context)
{
    (void)pthread_mutex_lock(&metrics->lock);
    metrics->sample = sample;
    metrics->context = context;
    (void)pthread_mutex_unlock(&metrics->lock);
}

/* ---- Rendering ---- */

static void append_number(struct byte_buffer *text, const struct metric_info *info, uint64_t cell)
{
    char digits[NUMBER_TEXT_BYTES_MAX];
    size_t length;
    double divisor = info->divisor > 0 ? info->divisor : 1;
    if (divisor > 1) {
        double value = info->type == METRIC_GAUGE ? (double)(int64_t)cell : (double)cell;
        length = number_text_double(value / divisor, digits);
    } else if (info->type != METRIC_GAUGE && cell > INT64_MAX) {
        length = number_text_double((double)cell, digits);
    } else {
        length = number_text_long((int64_t)cell, digits);
    }
    byte_buffer_append(text, digits, length);
}

/* NAME SUFFIX {labels, le} and a blank; `le` NULL: none. */
static void append_name(struct byte_buffer *text, const struct metric_series *series,
                        const char *suffix, const struct byte_buffer *le)
{
    append_text(text, series->info->name);
    append_text(text, suffix);
    bool has_labels = *series->labels != '\0';
    if (has_labels || le) {
        append_text(text, "{");
        append_text(text, series->labels);
        if (le) {
            append_text(text, has_labels ? ",le=\"" : "le=\"");
            byte_buffer_append(text, le->bytes, le->length);
            append_text(text, "\"");
        }
        append_text(text, "}");
    }
    append_text(text, " ");
}

static void render_histogram(struct byte_buffer *text, struct metric_series *series)
{
    const struct metric_info *info = series->info;
    const struct metric_bounds *bounds = info->bounds;
    uint64_t count = 0;
    struct byte_buffer le = {.bytes_max = 64};
    for (uint32_t i = 0; i <= bounds->count; i++) {
        /* The count is the sum of what was read, so that the lines agree with each other. */
        count += atomic_load_explicit(&series->cells[i], memory_order_relaxed);
        le.length = 0;
        if (i < bounds->count) {
            append_number(&le, info, bounds->items[i]);
        } else {
            append_text(&le, "+Inf");
        }
        append_name(text, series, "_bucket", &le);
        char digits[NUMBER_TEXT_BYTES_MAX];
        byte_buffer_append(text, digits, number_text_long((int64_t)count, digits));
        append_text(text, "\n");
    }
    text->has_failed = text->has_failed || le.has_failed;
    byte_buffer_release(&le);
    append_name(text, series, "_sum", NULL);
    append_number(text, info,
                  atomic_load_explicit(&series->cells[bounds->count + 1], memory_order_relaxed));
    append_text(text, "\n");
    append_name(text, series, "_count", NULL);
    char digits[NUMBER_TEXT_BYTES_MAX];
    byte_buffer_append(text, digits, number_text_long((int64_t)count, digits));
    append_text(text, "\n");
}

static const char *type_name(enum metric_type type)
{
    static const char *const names[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    return names[type];
}

static void render_family(struct byte_buffer *text, const struct family *family)
{
    const struct metric_info *info = family->info;
    append_text(text, "# HELP ");
    append_text(text, info->name);
    append_text(text, " ");
    for (const char *at = info->doc; *at; at++) {
        if (*at == '\\' || *at == '\n') {
            append_text(text, *at == '\n' ? "\\n" : "\\\\");
        } else {
            byte_buffer_append_byte(text, (unsigned char)*at);
        }
    }
    append_text(text, "\n# TYPE ");
    append_text(text, info->name);
    append_text(text, " ");
    append_text(text, type_name(info->type));
    append_text(text, "\n");
    for (struct metric_series *series = family->first; series; series = series->next) {
        if (info->type == METRIC_HISTOGRAM) {
            render_histogram(text, series);
            continue;
        }
        append_name(text, series, "", NULL);
        append_number(text, info, atomic_load_explicit(&series->cells[0], memory_order_relaxed));
        append_text(text, "\n");
    }
}

void metrics_render(struct metrics *metrics, struct byte_buffer *text)
{
    (void)pthread_mutex_lock(&metrics->lock);
    if (metrics->sample) {
        metrics->sample(metrics->context);
    }
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        if (metrics->families[i].first) {
            render_family(text, &metrics->families[i]);
        }
    }
    (void)pthread_mutex_unlock(&metrics->lock);
}

void metrics_describe(const struct metric_info *infos, uint32_t count, bool markdown, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct metric_info *info = &infos[i];
        char labels[METRIC_LABEL_BYTES_MAX] = "";
        size_t length = 0;
        for (uint32_t j = 0; j < METRIC_LABELS_MAX && info->labels[j]; j++) {
            int more = snprintf(labels + length, sizeof(labels) - length, "%s%s", j > 0 ? ", " : "",
                                info->labels[j]);
            length += more > 0 ? (size_t)more : 0;
        }
        if (markdown) {
            (void)fprintf(out, "| `%s` | %s | %s | %s | %s |\n", info->name, type_name(info->type),
                          labels, info->unit, info->doc);
        } else {
            (void)fprintf(out, "  %-40s %-9s %-16s %-8s %s\n", info->name, type_name(info->type),
                          labels, info->unit, info->doc);
        }
    }
}
