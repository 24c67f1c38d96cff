#include "pipeline/run/train_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "models/markov.h"
#include "pipeline/base/time_text.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const label_by_names[] = {"event_id", "user_id", NULL};
static const char *const positive_names[] = {"fraud", "bot", NULL};
static const char *const kind_names[TRAIN_KIND_COUNT + 1] = {
    "logistic", "trees", "mlp", "gru", "lstm", "isolation_forest", NULL};
static const char *const transform_names[] = {"auto", "none", "log1p", "octaves", NULL};

#define OPTION(member) offsetof(struct train_settings, member)
#define TEXT(key, setting_kind, member, default_text, sentence)                                    \
    {                                                                                              \
        .name = key, .type = setting_kind, .offset = OPTION(member), .fallback = default_text,     \
        .doc = sentence                                                                            \
    }
#define NUMBER(key, setting_kind, member, default_text, least, most, sentence)                     \
    {                                                                                              \
        .name = key, .type = setting_kind, .offset = OPTION(member), .fallback = default_text,     \
        .min = least, .max = most, .doc = sentence                                                 \
    }
static const struct setting settings[] = {
    {.name = "pipeline",
     .type = SETTING_PATH,
     .offset = OPTION(pipeline),
     .doc = "Configuration whose stages make the rows, the same that will serve; not for target "
            "table"},
    {.name = "name",
     .type = SETTING_TEXT,
     .offset = OPTION(name),
     .is_required = true,
     .doc = "Name of the model"},
    TEXT("version", SETTING_TEXT, version, "1", "Version of the model"),
    TEXT("output", SETTING_PATH, output, NULL, "Folder of the pack; --output takes its place"),
    TEXT("input", SETTING_LIST, input, NULL, "Files of history; --input takes their place"),
    {.name = "kind",
     .type = SETTING_CHOICE,
     .offset = OPTION(kind),
     .fallback = "logistic",
     .choices = kind_names,
     .doc =
         "What is fitted: a logistic regression, boosted trees by libxgboost, a network of dense "
         "layers, one that is stepped along each session, or an isolation forest, which looks at "
         "no labels"},
    {.name = "target",
     .type = SETTING_CHOICE,
     .offset = OPTION(target),
     .choices = row_target_names,
     .is_required = true,
     .doc = "What is predicted: that a purchase follows in the session; that the session ends "
            "without one though the cart is filled; that the user buys within so long; what label "
            "events say; what the truth says; "
            "table: the input is CSV with columns time, label (0 or 1) and features; none: for a "
            "kind that looks at no labels"},
    TEXT("truth", SETTING_PATH, truth, NULL,
         "JSON lines with visit, kind, fraud and bot, joined as truth_by says; --truth takes its "
         "place"),
    {.name = "truth_positive",
     .type = SETTING_CHOICE,
     .offset = OPTION(truth_positive),
     .fallback = "fraud",
     .choices = positive_names,
     .doc = "Target truth: what counts as positive"},
    {.name = "truth_by",
     .type = SETTING_CHOICE,
     .offset = OPTION(truth_by),
     .fallback = "event_id",
     .choices = truth_join_names,
     .doc = "Target truth: field of the event that names its visit; of the event id what stands "
            "before the '-'"},
    TEXT("leave_out_kinds", SETTING_LIST, leave_out_kinds, NULL,
         "Target truth: kinds of visits that training does not see"),
    {.name = "label_by",
     .type = SETTING_CHOICE,
     .offset = OPTION(label_by),
     .fallback = "event_id",
     .choices = label_by_names,
     .doc =
         "Target label: it speaks of the event that its label_for names, or of all that its user "
         "did up to within before it"},
    NUMBER("within", SETTING_DURATION, within_ms, "7d", 1000, 365 * 864e5,
           "Target purchase_within: a purchase of the user follows within so long; target label by "
           "user_id: a label; gap is no less than it"),
    TEXT("label_values", SETTING_LIST, label_values, "chargeback",
         "Target label: values that make an event positive"),
    TEXT("event_types", SETTING_LIST, event_types, NULL, "Rows of these types only; unset: all"),
    TEXT("prefixes", SETTING_LIST, prefixes, "all",
         "Rows at these numbers of events of a session, beside its first with a filled cart; "
         "all: every row"),
    NUMBER("rows_max", SETTING_INTEGER, rows_max, "200000", 100, 1e7,
           "Above it sessions are thinned out by hash, and those left weigh more"),
    NUMBER("seed", SETTING_INTEGER, seed, "1", 0, 9e15, "Of the thinning and the bootstrap"),
    TEXT("from", SETTING_TEXT, from, NULL, "Sessions that begin before this time are left out"),
    TEXT("until", SETTING_TEXT, until, NULL, "Training sees no event from this time on"),
    NUMBER("gap", SETTING_DURATION, gap_ms, "0s", 0, 365 * 864e5,
           "The data must go on for so long after a row for its outcome to count as known"),
    NUMBER("held_gap", SETTING_DURATION, held_gap_ms, NULL, 0, 365 * 864e5,
           "Rows of so long a time before the held-out ones are left out; unset: as long as gap"),
    NUMBER("held_share", SETTING_NUMBER, held_share, "0.25", 0, 0.9,
           "Share of the rows, the last by time, held out to choose l2, or the number of trees, "
           "and to calibrate"),
    NUMBER("markov_order", SETTING_INTEGER, markov_order, "1", 1, MARKOV_ORDER_MAX,
           "Of --markov: events that the longest context of its table has, where there are enough "
           "of it; shorter ones speak for those"),
    TEXT("features", SETTING_LIST, features, "all",
         "Features in use; all: but for ids, such as event_type, which are for embeddings"),
    TEXT("leave_out_features", SETTING_LIST, leave_out_features, NULL, "Features not in use"),
    TEXT("leave_out_families", SETTING_LIST, leave_out_families, NULL,
         "Families of features not in use"),
    {.name = "transform",
     .type = SETTING_CHOICE,
     .offset = OPTION(transform),
     .fallback = "auto",
     .choices = transform_names,
     .doc = "Of the features; auto: octaves (log2 by straight lines) where skewed, else none"},
    NUMBER("limit", SETTING_NUMBER, limit, "5", 0.5, 1e6,
           "Standardised features are cut off at so many standard deviations"),
    TEXT("l2", SETTING_LIST, l2, "[0.3, 0.1, 0.03, 0.01, 0.003, 0.001]",
         "Strengths of L2 to choose from by the held-out log loss, strongest first"),
    NUMBER("l1", SETTING_NUMBER, l1, "0", 0, 1e6, "Strength of L1"),
    NUMBER("positive_weight", SETTING_NUMBER, positive_weight, "1", 0, 1e6,
           "Factor on the weight of positives; 0: both classes weigh the same"),
    NUMBER("iterations", SETTING_INTEGER, iterations, "200", 1, 1e5, "Of L-BFGS, at most"),
    NUMBER("forest_trees", SETTING_INTEGER, forest_trees, "100", 1, 1000,
           "Of kind isolation_forest: trees"),
    NUMBER("forest_sample", SETTING_INTEGER, forest_sample, "256", 2, 4096,
           "Of kind isolation_forest: rows that a tree is built of"),
    TEXT("trees", SETTING_CUSTOM, trees, NULL, "Of kind trees: {rounds, depth, ...}"),
    TEXT("network", SETTING_CUSTOM, network, NULL,
         "Of kinds mlp, gru and lstm, as in a pack: {hidden, embeddings, layers}"),
    TEXT("descent", SETTING_CUSTOM, descent, NULL,
         "Of kinds mlp, gru and lstm: {optimizer, learning_rate, ...}"),
    {.name = "calibration",
     .type = SETTING_CHOICE,
     .offset = OPTION(calibration),
     .fallback = "platt",
     .choices = calibration_method_names,
     .doc = "On the held-out rows: platt, a line on the logit scale; isotonic, for thousands of "
            "rows; none"},
    NUMBER("folds", SETTING_INTEGER, folds, "0", 0, 20,
           "Forward-chaining cross-validation: so many spans of time, each measured by a model "
           "fitted to all before it; 0: none"),
    TEXT("refit", SETTING_BOOL, is_refitted, "true",
         "Fit once more on all rows with the l2, or the number of trees, that was chosen"),
};

const struct setting_section train_section = {
    .name = "train",
    .doc = "A training",
    .settings = settings,
    .setting_count = COUNT_OF(settings),
    .options_bytes = sizeof(struct train_settings),
};

bool train_time_parse(const char *text, int64_t *ret_ms)
{
    struct time_format format;
    return time_format_compile("iso", &format, NULL) == STATUS_OK &&
           time_parse(&format, NULL, text_of(text), ret_ms);
}

static const struct yaml_node *node_of(const struct train_config *config, const char *key)
{
    const struct yaml_node *section = yaml_find(yaml_root(config->document), train_section.name);
    const struct yaml_node *node = yaml_find(section, key);
    return node ? node : section;
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
    return yaml_complain(node_of(config, key), error,
                         "\"%s\": a time such as 2026-06-01T12:00:00Z expected", text);
}

static enum status unknown_name(const struct train_config *config, const char *key,
                                const char *what, const char *name, const char *const *names,
                                size_t count, struct error *error)
{
    const char *near = nearest_name(name, names, count);
    return yaml_complain(node_of(config, key), error, "\"%s\": no such %s%s%s%s", name, what,
                         near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
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
            return yaml_complain(node_of(config, "prefixes"), error,
                                 "\"%s\": all, or at most %d numbers of events from 1 expected",
                                 list->items[i], PREFIXES_MAX);
        }
        config->rows.prefixes[config->rows.prefix_count++] = (uint32_t)prefix;
    }
    return STATUS_OK;
}

static enum status read_strengths(struct train_config *config, struct error *error)
{
    const struct text_list *list = &config->settings.l2;
    for (size_t i = 0; i < list->count; i++) {
        char *end;
        errno = 0;
        double l2 = strtod(list->items[i], &end);
        if (errno != 0 || *end != '\0' || !(l2 >= 0 && l2 <= 1e6) || i >= STRENGTHS_MAX) {
            return yaml_complain(node_of(config, "l2"), error,
                                 "\"%s\": at most %d numbers from 0 to 1e6 expected",
                                 list->items[i], STRENGTHS_MAX);
        }
        config->l2[config->l2_count++] = l2;
    }
    return config->l2_count > 0 ? STATUS_OK
                                : yaml_complain(node_of(config, "l2"), error, "a number expected");
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
            return unknown_name(config, "event_types", "type of event", list->items[i], names,
                                EVENT_TYPE_COUNT, error);
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
        return yaml_complain(node_of(config, "target"), error,
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
            return unknown_name(config, "leave_out_kinds", "kind in the truth",
                                made->leave_out_kinds.items[i], names, count, error);
        }
        config->rows.kinds_left_out |= UINT64_C(1) << kind;
    }
    config->rows.truth = config->truth;
    return status;
}

static bool is_in_list(const struct text_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum status check_features(const struct train_config *config, const char *key,
                                  const struct text_list *list, struct error *error)
{
    for (size_t i = 0; i < list->count; i++) {
        bool is_known = strcmp(list->items[i], "all") == 0;
        for (uint32_t j = 0; !is_known && j < config->name_count; j++) {
            is_known = strcmp(config->names[j], list->items[i]) == 0;
        }
        if (!is_known) {
            return unknown_name(config, key, "feature", list->items[i], config->names,
                                config->name_count, error);
        }
    }
    return STATUS_OK;
}

/* The family of feature `i`; "" of a table's. */
static const char *family_of(const struct train_config *config, uint32_t i)
{
    return config->settings.target == TARGET_TABLE
               ? ""
               : stage_plan_features(config->config.plan)->features[i].family;
}

static enum status check_families(const struct train_config *config, struct error *error)
{
    const struct text_list *list = &config->settings.leave_out_families;
    for (size_t i = 0; i < list->count; i++) {
        const char *names[FEATURES_MAX];
        bool is_known = false;
        for (uint32_t j = 0; j < config->name_count; j++) {
            names[j] = family_of(config, j);
            is_known = is_known || strcmp(names[j], list->items[i]) == 0;
        }
        if (!is_known) {
            return unknown_name(config, "leave_out_families", "family", list->items[i], names,
                                config->name_count, error);
        }
    }
    return STATUS_OK;
}

static void read_names(struct train_config *config)
{
    bool is_table = config->settings.target == TARGET_TABLE;
    const struct feature_set *set = is_table ? NULL : stage_plan_features(config->config.plan);
    config->name_count = is_table ? config->table_names.count : set->count;
    for (uint32_t i = 0; i < config->name_count; i++) {
        config->names[i] = is_table ? config->table_names.names[i] : set->features[i].name;
    }
}

bool train_config_is_id(const struct train_config *config, uint32_t index)
{
    return config->settings.target != TARGET_TABLE &&
           strcmp(stage_plan_features(config->config.plan)->features[index].unit, "id") == 0;
}

static enum status read_features(struct train_config *config, struct error *error)
{
    const struct train_settings *made = &config->settings;
    read_names(config);
    enum status status = check_features(config, "features", &made->features, error);
    if (status == STATUS_OK) {
        status = check_features(config, "leave_out_features", &made->leave_out_features, error);
    }
    if (status == STATUS_OK) {
        status = check_families(config, error);
    }
    bool takes_all = is_in_list(&made->features, "all");
    for (uint32_t i = 0; status == STATUS_OK && i < config->name_count; i++) {
        bool is_in = (takes_all && !train_config_is_id(config, i)) ||
                     is_in_list(&made->features, config->names[i]);
        if (is_in && !is_in_list(&made->leave_out_features, config->names[i]) &&
            !is_in_list(&made->leave_out_families, family_of(config, i))) {
            config->columns[config->column_count++] = i;
        }
    }
    if (status == STATUS_OK && config->column_count == 0) {
        status = yaml_complain(node_of(config, "features"), error, "no feature is left");
    }
    return status;
}

static enum status read_files(struct train_config *config, const struct train_overrides *overrides,
                              struct error *error)
{
    const struct text_list *list = &config->settings.input;
    size_t count = overrides->file_count ? overrides->file_count : list->count;
    if (count == 0) {
        return yaml_complain(node_of(config, "input"), error,
                             "input: files expected, here or as --input");
    }
    config->files = calloc(count, sizeof(*config->files));
    for (size_t i = 0; config->files && i < count; i++) {
        config->files[i] = overrides->file_count
                               ? strdup(overrides->files[i])
                               : yaml_resolve_path(node_of(config, "input"), list->items[i]);
        if (!config->files[i]) {
            break;
        }
        config->file_count++;
    }
    return config->file_count == count ? STATUS_OK
                                       : error_set(error, STATUS_FATAL, "training: out of memory");
}

static enum status read_rows(struct train_config *config, const struct train_overrides *overrides,
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
        return yaml_complain(node_of(config, "target"), error,
                             "none: a target expected for kind %s", kind_names[made->kind]);
    }
    enum status status =
        read_time(config, "from", made->from, overrides->from, INT64_MIN, &rows->from_ms, error);
    if (status == STATUS_OK) {
        status = read_time(config, "until", made->until, overrides->until, INT64_MAX,
                           &rows->until_ms, error);
    }
    if (status == STATUS_OK && rows->from_ms >= rows->until_ms) {
        status = yaml_complain(node_of(config, "until"), error, "a time after from expected");
    }
    if (status == STATUS_OK) {
        status = read_prefixes(config, error);
    }
    if (status == STATUS_OK) {
        status = read_types(config, error);
    }
    bool is_stepped = made->kind == TRAIN_GRU || made->kind == TRAIN_LSTM;
    if (status == STATUS_OK && is_stepped && rows->types != 0) {
        status = yaml_complain(node_of(config, "event_types"), error,
                               "a network that is stepped along sessions sees events of all types");
    }
    bool is_by_user = made->target == TARGET_PURCHASE_WITHIN ||
                      (made->target == TARGET_LABEL && rows->label_by_user);
    if (status == STATUS_OK && is_stepped && is_by_user) {
        return yaml_complain(
            node_of(config, "target"), error,
            "a network that is stepped along sessions cannot foretell what becomes "
            "of a user; another kind expected");
    }
    rows->keeps_all = is_stepped;
    return status == STATUS_OK ? read_truth(config, overrides->truth, error) : status;
}

/* What the rows come from: a table's header, or a pipeline's configuration. */
static enum status load_source(struct train_config *config, struct error *error)
{
    bool is_table = config->settings.target == TARGET_TABLE;
    if (is_table && config->settings.pipeline) {
        return yaml_complain(node_of(config, "pipeline"), error,
                             "nothing expected where the target is a table");
    }
    if (is_table) {
        return table_names_read(config->files[0], &config->table_names, error);
    }
    if (!config->settings.pipeline) {
        return yaml_complain(node_of(config, "pipeline"), error,
                             "pipeline: a configuration expected");
    }
    return config_load(config->settings.pipeline, config->file_count, &config->config, error);
}

enum status train_config_rows(const struct train_config *config, const struct row_options *options,
                              struct row_table *ret_table, struct row_counts *ret_counts,
                              struct error *error)
{
    const char *const *files = (const char *const *)config->files;
    return config->settings.target == TARGET_TABLE
               ? table_rows_make(files, config->file_count, &config->table_names, options,
                                 ret_table, ret_counts, error)
               : labelled_rows_make(&config->config, files, config->file_count, options, ret_table,
                                    ret_counts, error);
}

static enum status load_all(struct train_config *config, const struct train_overrides *overrides,
                            struct error *error)
{
    static const char *const keys[] = {"train", "eval", NULL};
    const struct yaml_node *root = yaml_root(config->document);
    const struct yaml_node *section = yaml_find(root, train_section.name);
    if (root->kind != YAML_MAPPING || (root->child_count == 0)) {
        return yaml_complain(root, error, "train: a section of this name expected");
    }
    enum status status = yaml_known_keys(root, keys, error);
    if (status == STATUS_OK) {
        status = settings_read(&train_section, section, &config->settings, error);
    }
    bool is_by_user = config->settings.target == TARGET_PURCHASE_WITHIN ||
                      (config->settings.target == TARGET_LABEL && config->settings.label_by == 1);
    if (status == STATUS_OK && is_by_user && config->settings.gap_ms < config->settings.within_ms) {
        config->settings.gap_ms = config->settings.within_ms;
    }
    if (status == STATUS_OK && !yaml_find(section, "held_gap")) {
        config->settings.held_gap_ms = config->settings.gap_ms;
    }
    if (status == STATUS_OK) {
        status = settings_read(&train_trees_section, config->settings.trees, &config->trees, error);
    }
    if (status == STATUS_OK) {
        status = settings_read(&train_descent_section, config->settings.descent, &config->descent,
                               error);
    }
    if (status == STATUS_OK) {
        const struct yaml_node *eval = yaml_find(root, eval_section.name);
        config->has_threshold = yaml_find(eval, "threshold") != NULL;
        status = settings_read(&eval_section, eval, &config->eval, error);
    }
    if (status == STATUS_OK) {
        status = read_files(config, overrides, error);
    }
    if (status == STATUS_OK) {
        status = load_source(config, error);
    }
    if (status == STATUS_OK) {
        status = read_rows(config, overrides, error);
    }
    if (status == STATUS_OK) {
        status = read_features(config, error);
    }
    if (status == STATUS_OK && train_kind_is_network(config->settings.kind)) {
        status = train_network_read(config, error);
    }
    if (status == STATUS_OK) {
        status = read_strengths(config, error);
    }
    const char *output = overrides->output ? overrides->output : config->settings.output;
    if (status == STATUS_OK && output) {
        config->output = strdup(output);
        status =
            config->output ? STATUS_OK : error_set(error, STATUS_FATAL, "training: out of memory");
    }
    return status;
}

enum status train_config_load(const char *path, const struct train_overrides *overrides,
                              struct train_config *ret_config, struct error *error)
{
    *ret_config = (struct train_config){0};
    enum status status = yaml_load(path, &ret_config->document, error);
    if (status == STATUS_OK) {
        status = load_all(ret_config, overrides, error);
    }
    if (status != STATUS_OK) {
        train_config_release(ret_config);
    }
    return status;
}

void train_config_release(struct train_config *config)
{
    for (uint32_t i = 0; i < config->file_count; i++) {
        free(config->files[i]);
    }
    free(config->files);
    free(config->output);
    table_names_release(&config->table_names);
    truth_file_unload(config->truth);
    if (config->config.document) {
        config_release(&config->config);
    }
    settings_release(&train_trees_section, &config->trees);
    settings_release(&train_descent_section, &config->descent);
    settings_release(&train_section, &config->settings);
    settings_release(&eval_section, &config->eval);
    yaml_unload(config->document);
    *config = (struct train_config){0};
}

struct train_options train_config_fit_options(const struct train_config *config)
{
    const struct train_settings *made = &config->settings;
    struct train_options options = {
        .names = config->names,
        .columns = config->columns,
        .column_count = config->column_count,
        .transform = made->transform - 1,
        .limit = (float)made->limit,
        .l2_count = config->l2_count,
        .l1 = made->l1,
        .positive_weight = made->positive_weight,
        .iterations_max = (uint32_t)made->iterations,
        .is_refitted = made->is_refitted,
        .calibration = (enum calibration_method)made->calibration,
    };
    memcpy(options.l2, config->l2, sizeof(options.l2));
    return options;
}
