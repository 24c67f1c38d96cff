#include "models/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/hash.h"

const char *const eval_metric_names[EVAL_METRIC_COUNT] = {"pr_auc", "roc_auc", "log_loss", "brier",
                                                          "calibration_error"};

const uint32_t eval_tops[EVAL_TOPS] = {10, 100, 1000};

/* What a model says of the rows. */
struct scored {
    float *chances;
    struct ranking ranking;
};

/* The slice's rows side by side. */
struct sample {
    uint32_t count;
    struct scored model;
    struct scored reference; /* Of the reference model, where there is one. */
    bool has_reference;
    float *feature; /* One column at a time. */
    uint8_t *labels;
    double *weights, *drawn; /* As given; of a replicate. */
    uint32_t *group;         /* Number of the row's group. */
    uint32_t group_count;
};

static void scored_release(struct scored *scored)
{
    free(scored->chances);
    ranking_release(&scored->ranking);
}

static void sample_release(struct sample *sample)
{
    scored_release(&sample->model);
    scored_release(&sample->reference);
    free(sample->feature);
    free(sample->labels);
    free(sample->weights);
    free(sample->drawn);
    free(sample->group);
}

static enum status number_groups(const struct row_table *table, const uint32_t *chosen,
                                 struct sample *sample, struct error *error)
{
    struct key_map groups = {0};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < sample->count; i++) {
        uint64_t key = table->rows[chosen[i]].group;
        sample->group[i] = key_map_add(&groups, key ? key : 1);
        if (sample->group[i] == KEY_MAP_NONE) {
            status = error_set(error, STATUS_FATAL, "evaluation: out of memory");
            break;
        }
    }
    sample->group_count = groups.count;
    key_map_release(&groups);
    return status;
}

static enum status scored_make(const uint32_t *chosen, uint32_t count, const float *chances,
                               struct scored *scored, struct error *error)
{
    scored->chances = calloc((size_t)count + 1, sizeof(float));
    if (!scored->chances) {
        return error_set(error, STATUS_FATAL, "evaluation: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        scored->chances[i] = chances[chosen[i]];
    }
    return ranking_make(scored->chances, count, &scored->ranking, error);
}

static enum status sample_make(const struct row_table *table, const uint32_t *chosen,
                               uint32_t count, const float *chances, const float *reference,
                               struct sample *sample, struct error *error)
{
    size_t room = (size_t)count + 1;
    *sample = (struct sample){
        .count = count,
        .has_reference = reference != NULL,
        .feature = calloc(room, sizeof(float)),
        .labels = calloc(room, 1),
        .weights = calloc(room, sizeof(double)),
        .drawn = calloc(room, sizeof(double)),
        .group = calloc(room, sizeof(uint32_t)),
    };
    if (!sample->feature || !sample->labels || !sample->weights || !sample->drawn ||
        !sample->group) {
        return error_set(error, STATUS_FATAL, "evaluation: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        sample->labels[i] = table->rows[chosen[i]].label;
        sample->weights[i] = table->weights[chosen[i]];
    }
    enum status status = number_groups(table, chosen, sample, error);
    if (status == STATUS_OK) {
        status = scored_make(chosen, count, chances, &sample->model, error);
    }
    if (status == STATUS_OK && reference) {
        status = scored_make(chosen, count, reference, &sample->reference, error);
    }
    return status;
}

static void measure(const struct sample *sample, const struct scored *scored, const double *weights,
                    double ret_values[EVAL_METRIC_COUNT])
{
    const float *chances = scored->chances;
    const uint8_t *labels = sample->labels;
    ret_values[EVAL_PR_AUC] = metric_pr_auc(&scored->ranking, labels, weights);
    ret_values[EVAL_ROC_AUC] = metric_roc_auc(&scored->ranking, labels, weights);
    ret_values[EVAL_LOG_LOSS] = metric_log_loss(chances, labels, weights, sample->count);
    ret_values[EVAL_BRIER] = metric_brier(chances, labels, weights, sample->count);
    ret_values[EVAL_CALIBRATION] =
        metric_calibration_error(&scored->ranking, chances, labels, weights, NULL);
}

/* What is drawn together: the model's metrics, the reference's, and what lies between the two. */
#define SERIES (3 * EVAL_METRIC_COUNT)

static void measure_all(const struct sample *sample, const double *weights,
                        double ret_values[SERIES])
{
    double *reference = ret_values + EVAL_METRIC_COUNT;
    double *gain = reference + EVAL_METRIC_COUNT;
    measure(sample, &sample->model, weights, ret_values);
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        reference[m] = gain[m] = NAN;
    }
    if (sample->has_reference) {
        measure(sample, &sample->reference, weights, reference);
        for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
            gain[m] = ret_values[m] - reference[m];
        }
    }
}

static struct eval_value *series_of(struct eval_slice *slice, int series)
{
    struct eval_value *const places[] = {slice->metric, slice->reference.metric,
                                         slice->reference.gain};
    return &places[series / EVAL_METRIC_COUNT][series % EVAL_METRIC_COUNT];
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void eval_value_interval(double *values, uint32_t count, struct eval_value *value)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            values[kept++] = values[i];
        }
    }
    if (kept > 0) {
        qsort(values, kept, sizeof(*values), compare_doubles);
        value->low = values[(uint32_t)(0.025 * (double)(kept - 1))];
        value->high = values[(uint32_t)ceil(0.975 * (double)(kept - 1))];
    }
}

/* As many groups as there are, drawn with replacement. */
static void draw_weights(struct sample *sample, uint32_t *times, uint64_t *state)
{
    memset(times, 0, sample->group_count * sizeof(*times));
    for (uint32_t i = 0; i < sample->group_count; i++) {
        *state = hash64_combine(*state, i);
        times[*state % sample->group_count]++;
    }
    for (uint32_t i = 0; i < sample->count; i++) {
        sample->drawn[i] = sample->weights[i] * (double)times[sample->group[i]];
    }
}

static enum status bootstrap(struct sample *sample, const struct eval_options *options,
                             struct eval_slice *slice, struct error *error)
{
    uint32_t count = options->replicates;
    double *values = calloc((size_t)count * SERIES + 1, sizeof(*values));
    uint32_t *times = calloc((size_t)sample->group_count + 1, sizeof(*times));
    if (!values || !times) {
        free(values);
        free(times);
        return error_set(error, STATUS_FATAL, "evaluation: out of memory");
    }
    uint64_t state = hash64_combine(options->seed, 0x626f6f74);
    for (uint32_t i = 0; i < count; i++) {
        double measured[SERIES];
        draw_weights(sample, times, &state);
        measure_all(sample, sample->drawn, measured);
        for (int s = 0; s < SERIES; s++) {
            values[(size_t)s * count + i] = measured[s];
        }
    }
    for (int s = 0; s < SERIES; s++) {
        eval_value_interval(values + (size_t)s * count, count, series_of(slice, s));
    }
    free(values);
    free(times);
    return STATUS_OK;
}

static struct eval_feature measure_feature(const struct ranking *ranking,
                                           const struct sample *sample, uint32_t column)
{
    double roc = metric_roc_auc(ranking, sample->labels, sample->weights);
    double pr = metric_pr_auc(ranking, sample->labels, sample->weights);
    double reversed = metric_pr_auc_reversed(ranking, sample->labels, sample->weights);
    struct eval_feature feature = {.column = column, .pr_auc = pr, .roc_auc = roc};
    if (roc < 0.5) {
        feature.is_reversed = true;
        feature.roc_auc = 1 - roc;
        feature.pr_auc = reversed;
    }
    return feature;
}

static enum status find_best_features(const struct row_table *table, const uint32_t *chosen,
                                      struct sample *sample, struct eval_slice *slice,
                                      struct error *error)
{
    slice->best_by_pr.column = UINT32_MAX;
    slice->best_by_roc.column = UINT32_MAX;
    for (uint32_t column = 0; column < table->feature_count; column++) {
        for (uint32_t i = 0; i < sample->count; i++) {
            sample->feature[i] = row_table_features(table, chosen[i])[column];
        }
        struct ranking ranking;
        enum status status = ranking_make(sample->feature, sample->count, &ranking, error);
        if (status != STATUS_OK) {
            return status;
        }
        struct eval_feature feature = measure_feature(&ranking, sample, column);
        ranking_release(&ranking);
        if (slice->best_by_pr.column == UINT32_MAX || feature.pr_auc > slice->best_by_pr.pr_auc) {
            slice->best_by_pr = feature;
        }
        if (slice->best_by_roc.column == UINT32_MAX ||
            feature.roc_auc > slice->best_by_roc.roc_auc) {
            slice->best_by_roc = feature;
        }
    }
    return STATUS_OK;
}

/* Over EVAL_CURVE_POINTS points each: precision by recall, recall by false-positive rate. */
static void fill_curves(const struct sample *sample, const struct ranking *ranking,
                        double positives, double negatives, double *precision, double *recall)
{
    double found = 0;
    double wrong = 0;
    uint32_t by_recall = 0;
    uint32_t by_rate = 0;
    recall[0] = 0;
    for (uint32_t i = 0; i < sample->count; i++) {
        uint32_t row = ranking->order[i];
        double before = found;
        *(sample->labels[row] ? &found : &wrong) += sample->weights[row];
        if (!ranking->ends_a_tie[i]) {
            continue;
        }
        for (; by_recall < EVAL_CURVE_POINTS && found >= positives * by_recall / 100.0;
             by_recall++) {
            precision[by_recall] = found / (found + wrong);
        }
        for (; by_rate < EVAL_CURVE_POINTS && wrong > negatives * by_rate / 100.0; by_rate++) {
            recall[by_rate] = before / positives;
        }
    }
    for (; by_recall < EVAL_CURVE_POINTS; by_recall++) {
        precision[by_recall] = positives / (positives + negatives);
    }
    for (; by_rate < EVAL_CURVE_POINTS; by_rate++) {
        recall[by_rate] = 1;
    }
}

/* Recall where a share of the rows, by weight, has been looked at; a tie counts by its share. */
static void fill_gain(const struct sample *sample, double positives, double all,
                      struct eval_slice *slice)
{
    double looked = 0;
    double found = 0;
    double tie = 0;
    double tie_found = 0;
    uint32_t point = 0;
    for (uint32_t i = 0; i < sample->count; i++) {
        uint32_t row = sample->model.ranking.order[i];
        tie += sample->weights[row];
        tie_found += sample->labels[row] ? sample->weights[row] : 0;
        if (!sample->model.ranking.ends_a_tie[i]) {
            continue;
        }
        for (; point < EVAL_CURVE_POINTS && looked + tie >= all * point / 100.0; point++) {
            double share = tie > 0 ? (all * point / 100.0 - looked) / tie : 0;
            slice->gain[point] = (found + share * tie_found) / positives;
        }
        looked += tie;
        found += tie_found;
        tie = tie_found = 0;
    }
    for (; point < EVAL_CURVE_POINTS; point++) {
        slice->gain[point] = 1;
    }
}

static double precision_at_top(const struct sample *sample, uint32_t top)
{
    double above = 0; /* Weights of the rows taken for certain, and of their positives. */
    double found = 0;
    double tie = 0;
    double tie_found = 0;
    uint32_t tie_rows = 0;
    for (uint32_t i = 0; i < sample->count && sample->count >= top; i++) {
        uint32_t row = sample->model.ranking.order[i];
        tie += sample->weights[row];
        tie_found += sample->labels[row] ? sample->weights[row] : 0;
        tie_rows++;
        if (!sample->model.ranking.ends_a_tie[i]) {
            continue;
        }
        if (i + 1 >= top) {
            double share = (double)(top - (i + 1 - tie_rows)) / tie_rows;
            return (found + share * tie_found) / (above + share * tie);
        }
        above += tie;
        found += tie_found;
        tie = tie_found = 0;
        tie_rows = 0;
    }
    return NAN;
}

static void fill_times(const struct row_table *table, const uint32_t *chosen,
                       const struct sample *sample, struct eval_slice *slice)
{
    double weights[EVAL_TIME_BINS] = {0};
    slice->first_ms = slice->last_ms = table->rows[chosen[0]].time_ms;
    for (uint32_t i = 0; i < sample->count; i++) {
        int64_t time_ms = table->rows[chosen[i]].time_ms;
        slice->first_ms = time_ms < slice->first_ms ? time_ms : slice->first_ms;
        slice->last_ms = time_ms > slice->last_ms ? time_ms : slice->last_ms;
    }
    double span = (double)(slice->last_ms - slice->first_ms) + 1;
    for (uint32_t i = 0; i < sample->count; i++) {
        double since = (double)(table->rows[chosen[i]].time_ms - slice->first_ms);
        uint32_t place = (uint32_t)(since / span * EVAL_TIME_BINS);
        struct eval_time_bin *bin = &slice->times[place];
        weights[place] += sample->weights[i];
        bin->row_count++;
        bin->chance += sample->weights[i] * (double)sample->model.chances[i];
        bin->observed += sample->labels[i] ? sample->weights[i] : 0;
    }
    for (int i = 0; i < EVAL_TIME_BINS; i++) {
        slice->times[i].chance = weights[i] > 0 ? slice->times[i].chance / weights[i] : NAN;
        slice->times[i].observed = weights[i] > 0 ? slice->times[i].observed / weights[i] : NAN;
    }
}

static void fill_base(const struct sample *sample, struct eval_slice *slice)
{
    double positives = 0;
    double all = 0;
    for (uint32_t i = 0; i < sample->count; i++) {
        positives += sample->labels[i] ? sample->weights[i] : 0;
        all += sample->weights[i];
        slice->positive_count += sample->labels[i];
    }
    double p = positives / all;
    slice->base_rate = p;
    slice->base_brier = p * (1 - p);
    slice->base_log_loss = p > 0 && p < 1 ? -p * fixed_log(p) - (1 - p) * fixed_log(1 - p) : 0;
    slice->recall_at_permille =
        metric_recall_at(&sample->model.ranking, sample->labels, sample->weights, 0.001);
    slice->recall_at_percent =
        metric_recall_at(&sample->model.ranking, sample->labels, sample->weights, 0.01);
    fill_curves(sample, &sample->model.ranking, positives, all - positives, slice->precision,
                slice->recall);
    if (sample->has_reference) {
        fill_curves(sample, &sample->reference.ranking, positives, all - positives,
                    slice->reference.precision, slice->reference.recall);
    }
    fill_gain(sample, positives, all, slice);
    for (int i = 0; i < EVAL_TOPS; i++) {
        slice->precision_at_top[i] = precision_at_top(sample, eval_tops[i]);
    }
}

enum status evaluate_slice(const struct row_table *table, const uint32_t *chosen, uint32_t count,
                           const float *chances, const float *reference,
                           const struct eval_options *options, const char *name,
                           struct eval_slice *ret_slice, struct error *error)
{
    struct eval_slice slice = {.row_count = count, .has_reference = reference != NULL};
    (void)snprintf(slice.name, sizeof(slice.name), "%s", name);
    struct sample sample = {0};
    enum status status = count > 0
                             ? sample_make(table, chosen, count, chances, reference, &sample, error)
                             : STATUS_OK;
    for (int s = 0; s < SERIES; s++) {
        *series_of(&slice, s) = (struct eval_value){NAN, NAN, NAN};
    }
    if (status == STATUS_OK && count > 0) {
        double values[SERIES];
        slice.group_count = sample.group_count;
        measure_all(&sample, sample.weights, values);
        for (int s = 0; s < SERIES; s++) {
            series_of(&slice, s)->value = values[s];
        }
        fill_base(&sample, &slice);
        fill_times(table, chosen, &sample, &slice);
        (void)metric_calibration_error(&sample.model.ranking, sample.model.chances, sample.labels,
                                       sample.weights, slice.bins);
        status = bootstrap(&sample, options, &slice, error);
    }
    if (status == STATUS_OK && count > 0) {
        status = find_best_features(table, chosen, &sample, &slice, error);
    }
    sample_release(&sample);
    if (status == STATUS_OK) {
        *ret_slice = slice;
    }
    return status;
}
