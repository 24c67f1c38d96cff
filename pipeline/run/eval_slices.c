#include "pipeline/run/eval_slices.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define OPTION(member) offsetof(struct eval_settings, member)
#define NUMBER(key, setting_kind, member, default_text, least, most, sentence)                     \
    {                                                                                              \
        .name = key, .type = setting_kind, .offset = OPTION(member), .fallback = default_text,     \
        .min = least, .max = most, .doc = sentence                                                 \
    }
static const struct setting settings[] = {
    {.name = "attribute",
     .type = SETTING_TEXT,
     .offset = OPTION(attribute),
     .doc = "Rows are divided by it and the gaps between the parts reported: a field of the event, "
            "attributes.NAME, or a feature or column; --attribute takes its place"},
    NUMBER("threshold", SETTING_NUMBER, threshold, NULL, 0, 1,
           "Rows whose chance is not below it count as selected; unset: the pack's; --threshold "
           "takes its place"),
    NUMBER("slices_max", SETTING_INTEGER, slices_max, "12", 2, EVAL_SLICES_KEPT_MAX,
           "Values of a dimension that are reported, those with the most rows; the rest is one "
           "slice, (other). Hours are all reported"),
    NUMBER("sessions_min", SETTING_INTEGER, sessions_min, "30", 1, 1e9,
           "Slices of fewer sessions are counted, not measured"),
    NUMBER("class_min", SETTING_INTEGER, class_min, "10", 1, 1e9,
           "A figure that rests on positive, negative or selected rows is left out where a slice "
           "has fewer of them"),
};

const struct setting_section eval_section = {
    .name = "eval",
    .doc = "What nudge eval divides the rows by",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct eval_settings),
};

#define CODES (SLICE_WORDS_MAX + SLICE_FIRST)

/* The rows that are measured, and in which slice of a dimension they are. */
struct divided {
    const struct row_table *table;
    const float *chances;
    uint32_t *chosen;   /* [count]. Owned, as the next one. */
    uint16_t *slice_of; /* [count] */
    uint32_t count;
};

struct counted {
    uint32_t rows;
    uint16_t code;
    const char *word;
};

static int compare_sizes(const void *a, const void *b)
{
    const struct counted *x = a;
    const struct counted *y = b;
    if (x->rows != y->rows) {
        return x->rows > y->rows ? -1 : 1;
    }
    return strcmp(x->word, y->word);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(((const struct counted *)a)->word, ((const struct counted *)b)->word);
}

static void add_slice(struct eval_dimension *dimension, const char *word, enum eval_slice_kind kind,
                      uint32_t rows)
{
    assert(dimension->row_count < EVAL_SLICES_KEPT_MAX + 2);
    dimension->rows[dimension->row_count++] =
        (struct eval_slice_row){.word = word, .kind = kind, .row_count = rows};
}

/*
 * Chooses the values to report and says of each code which of the dimension's slices it is in:
 * ret_places [CODES]. `values` [value_count] are those that rows have.
 */
static void choose_values(struct eval_dimension *dimension, struct counted *values, uint32_t most,
                          const uint32_t *row_counts, uint16_t *ret_places)
{
    bool is_hour = dimension->dimension == SLICE_HOUR;
    uint32_t count = dimension->value_count;
    uint32_t kept = is_hour || count <= most ? count : most;
    uint32_t others = row_counts[SLICE_BEYOND];
    qsort(values, count, sizeof(*values), is_hour ? compare_words : compare_sizes);
    for (uint32_t i = 0; i < count; i++) {
        if (i < kept) {
            ret_places[values[i].code] = (uint16_t)dimension->row_count;
            add_slice(dimension, values[i].word, SLICE_IS_VALUE, values[i].rows);
        } else {
            ret_places[values[i].code] = (uint16_t)kept;
            others += values[i].rows;
        }
    }
    dimension->merged_count = count - kept;
    dimension->has_more = row_counts[SLICE_BEYOND] > 0;
    ret_places[SLICE_BEYOND] = (uint16_t)kept;
    if (others > 0) {
        add_slice(dimension, "(other)", SLICE_IS_OTHER, others);
    }
    ret_places[SLICE_MISSING] = (uint16_t)dimension->row_count;
    if (row_counts[SLICE_MISSING] > 0) {
        add_slice(dimension, "(missing)", SLICE_IS_MISSING, row_counts[SLICE_MISSING]);
    }
}

static enum status divide(struct divided *rows, const struct row_slices *words, uint32_t most,
                          struct eval_dimension *dimension, struct error *error)
{
    enum slice_dimension which = dimension->dimension;
    uint32_t *row_counts = calloc(CODES, sizeof(*row_counts));
    uint16_t *places = calloc(CODES, sizeof(*places));
    struct counted *values = calloc(CODES, sizeof(*values));
    if (!row_counts || !places || !values) {
        free(row_counts);
        free(places);
        free(values);
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    for (uint32_t i = 0; i < rows->count; i++) {
        row_counts[rows->table->rows[rows->chosen[i]].slice[which]]++;
    }
    for (uint16_t code = SLICE_FIRST; code < SLICE_FIRST + words->words[which].count; code++) {
        if (row_counts[code] > 0) {
            values[dimension->value_count++] =
                (struct counted){row_counts[code], code, row_slices_word(words, which, code)};
        }
    }
    choose_values(dimension, values, most, row_counts, places);
    for (uint32_t i = 0; i < rows->count; i++) {
        rows->slice_of[i] = places[rows->table->rows[rows->chosen[i]].slice[which]];
    }
    free(row_counts);
    free(places);
    free(values);
    return STATUS_OK;
}

static enum status measure(const struct divided *rows, struct eval_dimension *dimension,
                           const struct slice_options *options, struct error *error)
{
    struct slice_measure measures[EVAL_SLICES_KEPT_MAX + 2];
    bool is_compared[EVAL_SLICES_KEPT_MAX + 2];
    for (uint32_t i = 0; i < dimension->row_count; i++) {
        is_compared[i] = dimension->rows[i].kind == SLICE_IS_VALUE;
    }
    enum status status = slice_metrics_measure(
        rows->table, rows->chosen, rows->count, rows->chances, rows->slice_of, dimension->row_count,
        options, measures, is_compared, dimension->has_gaps ? dimension->gaps : NULL, error);
    for (uint32_t i = 0; status == STATUS_OK && i < dimension->row_count; i++) {
        dimension->rows[i].measure = measures[i];
    }
    return status;
}

/* No row has the attribute: says which names there were. */
static enum status refuse_attribute(const struct row_slices *words, const char *attribute,
                                    uint32_t rows, struct error *error)
{
    char names[256] = "";
    size_t length = 0;
    for (uint32_t i = 0; i < words->entries.count && length + SLICE_WORD_BYTES_MAX < sizeof(names);
         i++) {
        int printed = snprintf(names + length, sizeof(names) - length, "%s%s",
                               i ? ", " : "; the rows have ", words->entries.words[i]);
        length += (size_t)printed;
    }
    if (words->source == SLICE_FROM_ENTRY && words->entries.count == 0) {
        (void)snprintf(names, sizeof(names), "; the rows have no attributes");
    }
    return error_set(error, STATUS_INVALID, "attribute \"%s\": none of %u rows has it%s", attribute,
                     rows, names);
}

static enum status add_dimension(struct eval_slices *slices, struct divided *rows,
                                 const struct row_slices *words, enum slice_dimension which,
                                 uint32_t most, struct error *error)
{
    struct eval_dimension *dimension = &slices->dimensions[slices->dimension_count];
    *dimension = (struct eval_dimension){.dimension = which, .has_gaps = which == SLICE_ATTRIBUTE};
    if (which == SLICE_DIMENSION_COUNT) {
        add_slice(dimension, "all rows", SLICE_IS_VALUE, rows->count);
        memset(rows->slice_of, 0, rows->count * sizeof(*rows->slice_of));
    } else {
        enum status status = divide(rows, words, most, dimension, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (dimension->value_count == 0 && which == SLICE_ATTRIBUTE) {
            return refuse_attribute(words, slices->attribute, rows->count, error);
        }
        if (dimension->value_count == 0) { /* Nothing to divide by. */
            slices->dimension_count++;
            return STATUS_OK;
        }
    }
    slices->dimension_count++;
    return measure(rows, dimension, &slices->options, error);
}

enum status eval_slices_measure(const struct row_table *table, const float *chances,
                                const struct row_slices *words, const struct eval_settings *made,
                                struct eval_slices *slices, struct error *error)
{
    size_t room = (size_t)table->count + 1;
    struct divided rows = {.table = table,
                           .chances = chances,
                           .chosen = calloc(room, sizeof(uint32_t)),
                           .slice_of = calloc(room, sizeof(uint16_t))};
    enum status status = rows.chosen && rows.slice_of
                             ? STATUS_OK
                             : error_set(error, STATUS_FATAL, "eval: out of memory");
    for (uint32_t i = 0; status == STATUS_OK && i < table->count; i++) {
        if (table->rows[i].is_on_schedule) {
            rows.chosen[rows.count++] = i;
        }
    }
    slices->options.groups_min = (uint32_t)made->sessions_min;
    slices->options.class_min = (uint32_t)made->class_min;
    if (status == STATUS_OK) {
        status = add_dimension(slices, &rows, words, SLICE_DIMENSION_COUNT, 1, error);
    }
    for (int i = 0; status == STATUS_OK && i < SLICE_DIMENSION_COUNT; i++) {
        if (i != SLICE_ATTRIBUTE || slices->attribute) {
            status = add_dimension(slices, &rows, words, (enum slice_dimension)i,
                                   (uint32_t)made->slices_max, error);
        }
    }
    free(rows.chosen);
    free(rows.slice_of);
    return status;
}
