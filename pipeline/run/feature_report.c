#include "pipeline/run/feature_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/metrics.h"
#include "models/time_split.h"

#define FAMILIES_MAX 64
#define ITERATIONS 80

struct family_run {
    const struct train_config *config;
    const struct row_table *table;
    const struct feature_set *set;
    uint8_t *parts; /* [table.count] */
    double l2;      /* 0: chosen by the fit with all features. */
};

static enum status fit_columns(struct family_run *run, const uint32_t *columns, uint32_t count,
                               struct logistic_fit *ret_fit, struct error *error)
{
    struct train_options options = train_config_fit_options(run->config);
    options.columns = columns;
    options.column_count = count;
    options.is_refitted = false;
    options.iterations_max =
        options.iterations_max < ITERATIONS ? options.iterations_max : ITERATIONS;
    if (run->l2 > 0) {
        options.l2[0] = run->l2;
        options.l2_count = 1;
    }
    return train_logistic(run->table, run->parts, &options, ret_fit, error);
}

/* The columns in use of one family, or of all but it. */
static uint32_t choose_columns(const struct family_run *run, const char *family, bool is_alone,
                               uint32_t *columns)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->config->column_count; i++) {
        uint32_t column = run->config->columns[i];
        bool is_of_family = strcmp(run->set->features[column].family, family) == 0;
        if (is_of_family == is_alone) {
            columns[count++] = column;
        }
    }
    return count;
}

static enum status print_family(struct family_run *run, const char *family,
                                const struct logistic_fit *whole, FILE *out, struct error *error)
{
    double pr[2] = {NAN, NAN};
    double roc[2] = {NAN, NAN};
    uint32_t columns[FEATURES_MAX];
    uint32_t members = choose_columns(run, family, true, columns);
    for (int is_alone = 0; is_alone < 2; is_alone++) {
        uint32_t count = choose_columns(run, family, is_alone, columns);
        struct logistic_fit fit;
        enum status status = count ? fit_columns(run, columns, count, &fit, error) : STATUS_INVALID;
        if (status == STATUS_OK) {
            pr[is_alone] = fit.held.pr_auc;
            roc[is_alone] = fit.held.roc_auc;
            logistic_fit_release(&fit);
        } else if (status == STATUS_FATAL) {
            return status;
        } /* A family that does not vary at all cannot stand alone. */
    }
    (void)fprintf(out, "%-12s %8u %9.4f %+9.4f %9.4f %+9.4f %9.4f %9.4f\n", family, members, pr[0],
                  whole->held.pr_auc - pr[0], roc[0], whole->held.roc_auc - roc[0], pr[1], roc[1]);
    return STATUS_OK;
}

static uint32_t list_families(const struct family_run *run, const char **families)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->config->column_count; i++) {
        const char *family = run->set->features[run->config->columns[i]].family;
        uint32_t j = 0;
        while (j < count && strcmp(families[j], family) != 0) {
            j++;
        }
        if (j == count && count < FAMILIES_MAX) {
            families[count++] = family;
        }
    }
    return count;
}

enum status family_report(const struct train_config *config, const struct row_table *table,
                          FILE *out, struct error *error)
{
    struct family_run run = {.config = config,
                             .table = table,
                             .set = stage_plan_features(config->config.plan),
                             .parts = calloc((size_t)table->count + 1, 1)};
    if (!run.parts) {
        return error_set(error, STATUS_FATAL, "families: out of memory");
    }
    int64_t from_ms;
    struct logistic_fit whole = {0};
    enum status status = time_split(table, config->settings.held_share, config->settings.gap_ms,
                                    run.parts, &from_ms, error);
    if (status == STATUS_OK) {
        status = fit_columns(&run, config->columns, config->column_count, &whole, error);
    }
    if (status == STATUS_OK && !whole.is_calibrated) {
        status = error_set(error, STATUS_INVALID,
                           "families: held_share: held-out rows of both classes expected");
    }
    if (status == STATUS_OK) {
        run.l2 = whole.l2;
        (void)fprintf(out, "%u rows fitted, %u held out, base rate %.4f, l2 %g\n\n", whole.fit_rows,
                      whole.held_rows, whole.held.base_rate, whole.l2);
        (void)fprintf(out, "%-12s %8s %9s %9s %9s %9s %9s %9s\n", "family", "features", "PR-AUC",
                      "it adds", "ROC-AUC", "it adds", "PR-AUC", "ROC-AUC");
        (void)fprintf(out, "%-12s %8s %19s %19s %19s\n", "", "", "without it", "without it",
                      "with it alone");
        (void)fprintf(out, "%-12s %8u %9.4f %9s %9.4f\n", "all", config->column_count,
                      whole.held.pr_auc, "", whole.held.roc_auc);
    }
    const char *families[FAMILIES_MAX];
    uint32_t count = list_families(&run, families);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        status = print_family(&run, families[i], &whole, out, error);
        (void)fflush(out);
    }
    logistic_fit_release(&whole);
    free(run.parts);
    return status;
}

static const struct yaml_node *find_pair(const struct yaml_node *pairs, const char *a,
                                         const char *b)
{
    for (size_t i = 0; pairs && i < pairs->child_count; i++) {
        const struct yaml_node *names = yaml_find(&pairs->children[i], "features");
        const char *x = names->children[0].scalar;
        const char *y = names->children[1].scalar;
        if ((strcmp(x, a) == 0 && strcmp(y, b) == 0) || (strcmp(x, b) == 0 && strcmp(y, a) == 0)) {
            return &pairs->children[i];
        }
    }
    return NULL;
}

static enum status check_pair(const struct yaml_node *pair, const struct feature_set *set,
                              struct error *error)
{
    static const char *const keys[] = {"features", "reason", NULL};
    if (pair->kind != YAML_MAPPING) {
        return yaml_complain(pair, error, "{features: [a, b], reason: text} expected");
    }
    enum status status = yaml_known_keys(pair, keys, error);
    const struct yaml_node *names = yaml_find(pair, "features");
    const struct yaml_node *reason = yaml_find(pair, "reason");
    if (status != STATUS_OK) {
        return status;
    }
    if (!names || names->kind != YAML_SEQUENCE || names->child_count != 2 || !reason ||
        reason->kind != YAML_SCALAR || !*reason->scalar) {
        return yaml_complain(pair, error, "two features and a reason expected");
    }
    for (size_t i = 0; i < 2; i++) {
        const struct yaml_node *name = &names->children[i];
        if (name->kind != YAML_SCALAR || feature_index(set, name->scalar) < 0) {
            return yaml_complain(name, error, "\"%s\": no such feature",
                                 name->kind == YAML_SCALAR ? name->scalar : "");
        }
    }
    return STATUS_OK;
}

static enum status read_pairs(const char *path, const struct feature_set *set,
                              struct yaml_document **ret_document,
                              const struct yaml_node **ret_pairs, struct error *error)
{
    enum status status = yaml_load(path, ret_document, error);
    if (status != STATUS_OK) {
        return status;
    }
    static const char *const keys[] = {"pairs", NULL};
    const struct yaml_node *root = yaml_root(*ret_document);
    *ret_pairs = yaml_find(root, "pairs");
    if (root->kind != YAML_MAPPING || !*ret_pairs || (*ret_pairs)->kind != YAML_SEQUENCE) {
        return yaml_complain(root, error, "pairs: a list expected");
    }
    status = yaml_known_keys(root, keys, error);
    for (size_t i = 0; status == STATUS_OK && i < (*ret_pairs)->child_count; i++) {
        status = check_pair(&(*ret_pairs)->children[i], set, error);
    }
    return status;
}

static void copy_column(const struct row_table *table, uint32_t column, float *values)
{
    for (uint32_t i = 0; i < table->count; i++) {
        values[i] = row_table_features(table, i)[column];
    }
}

/* Fewer rows than this with both features say nothing of the two. */
#define JOINT_ROWS_MIN 200u

static uint32_t count_joint(const float *a, const float *b, uint32_t count)
{
    uint32_t joint = 0;
    for (uint32_t i = 0; i < count; i++) {
        joint += !isnan(a[i]) && !isnan(b[i]);
    }
    return joint;
}

static enum status compare_columns(const struct row_table *table, const struct feature_set *set,
                                   const struct yaml_node *pairs, float *values, FILE *out,
                                   uint32_t *ret_unlisted, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t a = 0; status == STATUS_OK && a < set->count; a++) {
        copy_column(table, a, values);
        for (uint32_t b = a + 1; status == STATUS_OK && b < set->count; b++) {
            double r;
            copy_column(table, b, values + table->count);
            if (count_joint(values, values + table->count, table->count) < JOINT_ROWS_MIN) {
                continue;
            }
            status =
                metric_rank_correlation(values, values + table->count, table->count, &r, error);
            if (status == STATUS_OK && fabs(r) > CORRELATION_BOUND) {
                const char *x = set->features[a].name;
                const char *y = set->features[b].name;
                const struct yaml_node *pair = find_pair(pairs, x, y);
                *ret_unlisted += pair == NULL;
                (void)fprintf(out, "%8.5f  %s, %s: %s\n", r, x, y,
                              pair ? yaml_find(pair, "reason")->scalar : "NOT LISTED");
            }
        }
    }
    return status;
}

enum status correlation_report(const struct train_config *config, const struct row_table *table,
                               const char *allowed, FILE *out, struct error *error)
{
    const struct feature_set *set = stage_plan_features(config->config.plan);
    struct yaml_document *document = NULL;
    const struct yaml_node *pairs = NULL;
    float *values = calloc(2 * (size_t)table->count + 1, sizeof(*values));
    enum status status =
        values ? STATUS_OK : error_set(error, STATUS_FATAL, "correlations: out of memory");
    if (status == STATUS_OK && allowed) {
        status = read_pairs(allowed, set, &document, &pairs, error);
    }
    uint32_t unlisted = 0;
    if (status == STATUS_OK) {
        (void)fprintf(out, "%u rows, %u features; pairs with a rank correlation above %g:\n",
                      table->count, set->count, CORRELATION_BOUND);
        status = compare_columns(table, set, pairs, values, out, &unlisted, error);
    }
    if (status == STATUS_OK && unlisted > 0) {
        status = error_set(error, STATUS_FATAL,
                           "correlations: %u pairs of features say the same and are not listed "
                           "with a reason",
                           unlisted);
    }
    yaml_unload(document);
    free(values);
    return status;
}
