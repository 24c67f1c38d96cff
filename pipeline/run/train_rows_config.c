/* Which rows a training file asks for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/time_text.h"
#include "pipeline/run/train_config_internal.h"

bool train_time_parse(const char *text, int64_t *ret_ms)
{
    struct time_format format;
    return time_format_compile("iso", &format, NULL) == STATUS_OK &&
           time_parse(&format, NULL, text_of(text), ret_ms);
}

static enum status read_time(const struct train_config *config, const char *key, const char *text,
                             const char *override, int64_t otherwise, int64_t *ret_ms,
                             struct error *error)
{
    *ret_ms = otherwise;
    if (override) {
        return train_time_parse(override, ret_ms)
                   ? STATUS_OK
                   : error_set(error, STATUS_INVALID,
                               "\"%s\": a time such as 2026-06-01T12:00:00Z expected", override);
    }
    if (!text || train_time_parse(text, ret_ms)) {
        return STATUS_OK;
    }
    return yaml_complain(train_config_node(config, key), error,
                         "\"%s\": a time such as 2026-06-01T12:00:00Z expected", text);
}

static enum status read_prefixes(struct train_config *config, struct error *error)
{
    const struct text_list *list = &config->settings.prefixes;
    if (list->count == 1 && strcmp(list->items[0], "all") == 0) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < list->count; i++) {
        char *end;
        errno = 0;
        unsigned long prefix = strtoul(list->items[i], &end, 10);
        if (errno != 0 || *end != '\0' || prefix < 1 || prefix > 1000000 || i >= PREFIXES_MAX) {
            return yaml_complain(train_config_node(config, "prefixes"), error,
                                 "\"%s\": all, or at most %d numbers of events from 1 expected",
                                 list->items[i], PREFIXES_MAX);
        }
        config->rows.prefixes[config->rows.prefix_count++] = (uint32_t)prefix;
    }
    return STATUS_OK;
}

static enum status read_types(struct train_config *config, struct error *error)
{
    const struct text_list *list = &config->settings.event_types;
    for (size_t i = 0; i < list->count; i++) {
        enum event_type type = event_type_of(text_of(list->items[i]));
        if (strcmp(event_types[type].name, list->items[i]) != 0) {
            const char *names[EVENT_TYPE_COUNT];
            for (int j = 0; j < EVENT_TYPE_COUNT; j++) {
                names[j] = event_types[j].name;
            }
            return train_config_unknown_name(config, "event_types", "type of event", list->items[i],
                                             names, EVENT_TYPE_COUNT, error);
        }
        config->rows.types |= UINT64_C(1) << type;
    }
    return STATUS_OK;
}

static enum status read_truth(struct train_config *config, const char *override,
                              struct error *error)
{
    const struct train_settings *made = &config->settings;
    const char *path = override ? override : made->truth;
    if (made->target != TARGET_TRUTH) {
        return STATUS_OK;
    }
    if (!path) {
        return yaml_complain(train_config_node(config, "target"), error,
                             "truth: a file expected, as truth: or --truth");
    }
    enum status status = truth_file_load(path, &config->truth, error);
    for (size_t i = 0; status == STATUS_OK && i < made->leave_out_kinds.count; i++) {
        const char *names[TRUTH_KINDS_MAX];
        uint32_t count = truth_file_kind_count(config->truth);
        for (uint32_t j = 0; j < count; j++) {
            names[j] = truth_file_kind(config->truth, j);
        }
        int kind = truth_file_kind_of(config->truth, made->leave_out_kinds.items[i]);
        if (kind < 0) {
            return train_config_unknown_name(config, "leave_out_kinds", "kind in the truth",
                                             made->leave_out_kinds.items[i], names, count, error);
        }
        config->rows.kinds_left_out |= UINT64_C(1) << kind;
    }
    config->rows.truth = config->truth;
    return status;
}

/* Names what was given last: an option stands above the file. */
static enum status refuse_times(const struct train_config *config,
                                const struct train_overrides *overrides, struct error *error)
{
    if (overrides->until) {
        return error_set(error, STATUS_INVALID, "--until: \"%.64s\": a time after from expected",
                         overrides->until);
    }
    if (overrides->from) {
        return error_set(error, STATUS_INVALID, "--from: \"%.64s\": a time before until expected",
                         overrides->from);
    }
    return yaml_complain(train_config_node(config, "until"), error, "a time after from expected");
}

enum status train_rows_read(struct train_config *config, const struct train_overrides *overrides,
                            struct error *error)
{
    const struct train_settings *made = &config->settings;
    struct row_options *rows = &config->rows;
    *rows = (struct row_options){
        .target = (enum row_target)made->target,
        .before_ms = INT64_MAX,
        .gap_ms = made->gap_ms,
        .rows_max = (uint32_t)made->rows_max,
        .seed = (uint64_t)made->seed,
        .score = made->target == TARGET_PURCHASE || made->target == TARGET_PURCHASE_WITHIN
                     ? SCORE_PURCHASE
                 : made->target == TARGET_ABANDON ? SCORE_ABANDON
                                                  : SCORE_FRAUD,
        .truth_is_bot = made->truth_positive == 1,
        .truth_by = (enum truth_join)made->truth_by,
        .label_values = &made->label_values,
        .within_ms = made->within_ms,
        .label_by_user = made->label_by == 1,
    };
    if (made->target == TARGET_NONE && made->kind != TRAIN_ISOLATION_FOREST) {
        return yaml_complain(train_config_node(config, "target"), error,
                             "none: a target expected for kind %s", train_kind_names[made->kind]);
    }
    enum status status =
        read_time(config, "from", made->from, overrides->from, INT64_MIN, &rows->from_ms, error);
    if (status == STATUS_OK) {
        status = read_time(config, "until", made->until, overrides->until, INT64_MAX,
                           &rows->until_ms, error);
    }
    if (status == STATUS_OK && rows->from_ms >= rows->until_ms) {
        status = refuse_times(config, overrides, error);
    }
    if (status == STATUS_OK) {
        status = read_prefixes(config, error);
    }
    if (status == STATUS_OK) {
        status = read_types(config, error);
    }
    bool is_stepped = made->kind == TRAIN_GRU || made->kind == TRAIN_LSTM;
    if (status == STATUS_OK && is_stepped && rows->types != 0) {
        status = yaml_complain(train_config_node(config, "event_types"), error,
                               "a network that is stepped along sessions sees events of all types");
    }
    bool is_by_user = made->target == TARGET_PURCHASE_WITHIN ||
                      (made->target == TARGET_LABEL && rows->label_by_user);
    if (status == STATUS_OK && is_stepped && is_by_user) {
        return yaml_complain(
            train_config_node(config, "target"), error,
            "a network that is stepped along sessions cannot foretell what becomes "
            "of a user; another kind expected");
    }
    rows->keeps_all = is_stepped;
    return status == STATUS_OK ? read_truth(config, overrides->truth, error) : status;
}
