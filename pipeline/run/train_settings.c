/* Section train of a training file. */
#include <stddef.h>

#include "models/markov.h"
#include "pipeline/run/train_config_internal.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const label_by_names[] = {"event_id", "user_id", NULL};
static const char *const positive_names[] = {"fraud", "bot", NULL};
const char *const train_kind_names[TRAIN_KIND_COUNT + 1] = {
    "logistic", "trees", "mlp", "gru", "lstm", "isolation_forest", NULL};
static const char *const transform_names[] = {"auto", "none", "log1p", "octaves", NULL};

#define OPTION(member) offsetof(struct train_settings, member)
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
    CHOICE("kind", kind, "logistic", train_kind_names,
           "What is fitted: a logistic regression, boosted trees by libxgboost, a network of dense "
           "layers, one that is stepped along each session, or an isolation forest, which looks at "
           "no labels"),
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
    CHOICE("truth_positive", truth_positive, "fraud", positive_names,
           "Target truth: what counts as positive"),
    CHOICE("truth_by", truth_by, "event_id", truth_join_names,
           "Target truth: field of the event that names its visit; of the event id what stands "
           "before the '-'"),
    TEXT("leave_out_kinds", SETTING_LIST, leave_out_kinds, NULL,
         "Target truth: kinds of visits that training does not see"),
    CHOICE("label_by", label_by, "event_id", label_by_names,
           "Target label: it speaks of the event that its label_for names, or of all that its user "
           "did up to within before it"),
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
    CHOICE("transform", transform, "auto", transform_names,
           "Of the features; auto: octaves (log2 by straight lines) where skewed, else none"),
    NUMBER("limit", SETTING_NUMBER, limit, "5", 0.5, 1e6,
           "Standardised features are cut off at so many standard deviations"),
    TEXT("l2", SETTING_LIST, l2, "[0.3, 0.1, 0.03, 0.01, 0.003, 0.001]",
         "Strengths of L2 to choose from by the held-out log loss, strongest first"),
    NUMBER("l1", SETTING_NUMBER, l1, "0", 0, 1e6, "Strength of L1"),
    NUMBER("positive_weight", SETTING_NUMBER, positive_weight, "1", 0, 1e6,
           "Factor on the weight of positives; 0: both classes weigh the same"),
    NUMBER("half_life", SETTING_DURATION, half_life_ms, "0s", 0, 100 * 365 * 864e5,
           "In fitting a row weighs half with each such time that it lies before the last one; 0s: "
           "all weigh the same. Not for isolation_forest, which knows no weights"),
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
    CHOICE("calibration", calibration, "platt", calibration_method_names,
           "On the held-out rows: platt, a line on the logit scale; isotonic, for thousands of "
           "rows; none"),
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
