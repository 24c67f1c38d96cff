#include "models/slice_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/hash.h"

#define JSON_NAME(name, json, heading) json,
#define HEADING(name, json, heading) heading,
const char *const slice_metric_names[SLICE_METRIC_COUNT] = {SLICE_METRICS(JSON_NAME)};
const char *const slice_metric_headings[SLICE_METRIC_COUNT] = {SLICE_METRICS(HEADING)};
const char *const slice_gap_names[SLICE_GAP_COUNT] = {SLICE_GAPS(JSON_NAME)};
const char *const slice_gap_titles[SLICE_GAP_COUNT] = {SLICE_GAPS(HEADING)};
#undef JSON_NAME
#undef HEADING

/* The rows of a slice side by side, highest chance first, so that a replicate reads along. */
struct part {
    uint32_t count;
    float *chances;
    uint8_t *labels;
    double *weights, *drawn;  /* As given; of a replicate. */
    double *losses, *squares; /* Of each row, before weighing. */
    uint32_t *group;          /* Number of the row's group. */
    struct ranking ranking;   /* Its order is 0, 1, 2 ... */
    bool has[SLICE_METRIC_COUNT];
};

struct bench {
    const struct slice_options *options;
    struct part *parts; /* [part_count]. Owned. */
    uint32_t part_count;
    uint32_t group_count;
    uint32_t *times; /* [group_count]: how often a group was drawn. Owned. */
    const bool *is_compared;
    struct slice_gap_value *gaps; /* [SLICE_GAP_COUNT]; NULL: not asked for. Borrowed. */
};

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "slices: out of memory");
}

static void part_release(struct part *part)
{
    free(part->chances);
    free(part->labels);
    free(part->weights);
    free(part->drawn);
    free(part->losses);
    free(part->squares);
    free(part->group);
    ranking_release(&part->ranking);
}

static void bench_release(struct bench *bench)
{
    for (uint32_t i = 0; bench->parts && i < bench->part_count; i++) {
        part_release(&bench->parts[i]);
    }
    free(bench->parts);
    free(bench->times);
}

static bool part_allocate(struct part *part, uint32_t count)
{
    size_t room = (size_t)count + 1;
    part->chances = calloc(room, sizeof(float));
    part->labels = calloc(room, 1);
    part->weights = calloc(room, sizeof(double));
    part->drawn = calloc(room, sizeof(double));
    part->losses = calloc(room, sizeof(double));
    part->squares = calloc(room, sizeof(double));
    part->group = calloc(room, sizeof(uint32_t));
    return part->chances && part->labels && part->weights && part->drawn && part->losses &&
           part->squares && part->group;
}

/* Row `row` of the table, as the next one of its part. */
static void part_add(struct part *part, const struct row_table *table, uint32_t row, float chance,
                     uint32_t group)
{
    uint32_t i = part->count++;
    const uint8_t label = table->rows[row].label;
    const double one = 1;
    part->chances[i] = chance;
    part->labels[i] = label;
    part->weights[i] = table->weights[row];
    part->group[i] = group;
    part->losses[i] = metric_log_loss(&chance, &label, &one, 1);
    part->squares[i] = metric_brier(&chance, &label, &one, 1);
}

/* Which figures the slice is large enough for. */
static void set_figures(struct part *part, const struct slice_options *options,
                        struct slice_measure *measure)
{
    uint32_t least = options->class_min;
    uint32_t negatives = measure->row_count - measure->positive_count;
    bool is_large = measure->group_count >= options->groups_min && measure->row_count > 0;
    bool has_positives = is_large && measure->positive_count >= least && measure->positive_count;
    bool has_negatives = is_large && negatives >= least && negatives > 0;
    bool has_selected = is_large && measure->selected_count >= least && measure->selected_count;
    for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
        part->has[m] = is_large;
    }
    part->has[SLICE_PR_AUC] = has_positives;
    part->has[SLICE_RECALL] = has_positives;
    part->has[SLICE_F1] = has_positives;
    part->has[SLICE_ROC_AUC] = has_positives && has_negatives;
    part->has[SLICE_FALSE_POSITIVE_RATE] = has_negatives;
    part->has[SLICE_PRECISION] = has_selected;
}

static enum status count_part(struct bench *bench, struct part *part, struct slice_measure *measure,
                              struct error *error)
{
    *measure = (struct slice_measure){.row_count = part->count};
    memset(bench->times, 0, bench->group_count * sizeof(*bench->times));
    for (uint32_t i = 0; i < part->count; i++) {
        measure->positive_count += part->labels[i];
        measure->selected_count += part->chances[i] >= bench->options->threshold;
        measure->group_count += bench->times[part->group[i]]++ == 0;
    }
    set_figures(part, bench->options, measure);
    return ranking_make(part->chances, part->count, &part->ranking, error);
}

/* Numbers the rows' groups into ret_groups [count]. */
static enum status number_groups(const struct row_table *table, const uint32_t *chosen,
                                 uint32_t count, uint32_t *ret_groups, uint32_t *ret_count,
                                 struct error *error)
{
    struct key_map numbers = {0};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        uint64_t key = table->rows[chosen[i]].group;
        ret_groups[i] = key_map_add(&numbers, key ? key : 1);
        status = ret_groups[i] == KEY_MAP_NONE ? out_of_memory(error) : STATUS_OK;
    }
    *ret_count = numbers.count;
    key_map_release(&numbers);
    return status;
}

static enum status allocate_parts(struct bench *bench, const uint16_t *slice_of, uint32_t count,
                                  struct error *error)
{
    uint32_t *counts = calloc((size_t)bench->part_count + 1, sizeof(*counts));
    bench->parts = calloc((size_t)bench->part_count + 1, sizeof(*bench->parts));
    bench->times = calloc((size_t)bench->group_count + 1, sizeof(*bench->times));
    bool is_whole = counts && bench->parts && bench->times;
    for (uint32_t i = 0; is_whole && i < count; i++) {
        counts[slice_of[i]]++;
    }
    for (uint32_t i = 0; is_whole && i < bench->part_count; i++) {
        is_whole = part_allocate(&bench->parts[i], counts[i]);
    }
    free(counts);
    return is_whole ? STATUS_OK : out_of_memory(error);
}

static enum status fill_parts(struct bench *bench, const struct row_table *table,
                              const uint32_t *chosen, uint32_t count, const float *chances,
                              const uint16_t *slice_of, struct error *error)
{
    float *picked = calloc((size_t)count + 1, sizeof(*picked));
    uint32_t *groups = calloc((size_t)count + 1, sizeof(*groups));
    struct ranking all = {0};
    enum status status = picked && groups ? STATUS_OK : out_of_memory(error);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        picked[i] = chances[chosen[i]];
    }
    if (status == STATUS_OK) {
        status = number_groups(table, chosen, count, groups, &bench->group_count, error);
    }
    if (status == STATUS_OK) {
        status = ranking_make(picked, count, &all, error);
    }
    if (status == STATUS_OK) {
        status = allocate_parts(bench, slice_of, count, error);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        uint32_t row = all.order[i];
        part_add(&bench->parts[slice_of[row]], table, chosen[row], picked[row], groups[row]);
    }
    free(picked);
    free(groups);
    ranking_release(&all);
    return status;
}

/* Weights of labels (first: is positive) by whether the row is selected. */
struct outcomes {
    double positives, negatives, true_positives, false_positives;
    double chance, loss, square;
};

static struct outcomes sum_outcomes(const struct part *part, const double *weights, float threshold)
{
    struct outcomes sum = {0};
    for (uint32_t i = 0; i < part->count; i++) {
        bool is_selected = part->chances[i] >= threshold;
        double weight = weights[i];
        double positive = part->labels[i] ? weight : 0;
        sum.positives += positive;
        sum.negatives += weight - positive;
        sum.true_positives += is_selected ? positive : 0;
        sum.false_positives += is_selected ? weight - positive : 0;
        sum.chance += weight * (double)part->chances[i];
        sum.loss += weight * part->losses[i];
        sum.square += weight * part->squares[i];
    }
    return sum;
}

static double divide(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static void measure_part(const struct part *part, const double *weights, float threshold,
                         double ret_values[SLICE_METRIC_COUNT])
{
    struct outcomes sum = sum_outcomes(part, weights, threshold);
    double all = sum.positives + sum.negatives;
    double selected = sum.true_positives + sum.false_positives;
    double wrong = sum.false_positives + (sum.positives - sum.true_positives);
    const double values[SLICE_METRIC_COUNT] = {
        [SLICE_BASE_RATE] = divide(sum.positives, all),
        [SLICE_SELECTION_RATE] = divide(selected, all),
        [SLICE_PR_AUC] = metric_pr_auc(&part->ranking, part->labels, weights),
        [SLICE_ROC_AUC] = metric_roc_auc(&part->ranking, part->labels, weights),
        [SLICE_LOG_LOSS] = divide(sum.loss, all),
        [SLICE_BRIER] = divide(sum.square, all),
        [SLICE_CALIBRATION_ERROR] =
            metric_calibration_error(&part->ranking, part->chances, part->labels, weights, NULL),
        [SLICE_CALIBRATION_BIAS] = divide(sum.chance - sum.positives, all),
        [SLICE_ACCURACY] = divide(all - wrong, all),
        [SLICE_PRECISION] = divide(sum.true_positives, selected),
        [SLICE_RECALL] = divide(sum.true_positives, sum.positives),
        [SLICE_FALSE_POSITIVE_RATE] = divide(sum.false_positives, sum.negatives),
        [SLICE_F1] = divide(2 * sum.true_positives, selected + sum.positives),
    };
    for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
        ret_values[m] = part->has[m] ? values[m] : NAN;
    }
}

/* Largest less smallest of a figure over the slices compared. */
static struct slice_gap_value spread(const struct bench *bench,
                                     double (*values)[SLICE_METRIC_COUNT], enum slice_metric metric)
{
    struct slice_gap_value gap = {.value = {NAN, NAN, NAN}, .metric = metric};
    for (uint32_t i = 0; i < bench->part_count; i++) {
        if (!bench->is_compared[i] || !isfinite(values[i][metric])) {
            continue;
        }
        bool is_first = gap.compared_count++ == 0;
        gap.lowest = is_first || values[i][metric] < values[gap.lowest][metric] ? i : gap.lowest;
        gap.highest = is_first || values[i][metric] > values[gap.highest][metric] ? i : gap.highest;
    }
    if (gap.compared_count > 1) {
        gap.value.value = values[gap.highest][metric] - values[gap.lowest][metric];
    }
    return gap;
}

static void measure_gaps(const struct bench *bench, double (*values)[SLICE_METRIC_COUNT])
{
    struct slice_gap_value *gaps = bench->gaps;
    static const struct {
        enum slice_gap gap;
        enum slice_metric metric;
    } plain[] = {
        {GAP_DEMOGRAPHIC_PARITY, SLICE_SELECTION_RATE},
        {GAP_DEMOGRAPHIC_PARITY_RATIO, SLICE_SELECTION_RATE},
        {GAP_EQUAL_OPPORTUNITY, SLICE_RECALL},
        {GAP_PREDICTIVE_EQUALITY, SLICE_FALSE_POSITIVE_RATE},
        {GAP_PREDICTIVE_PARITY, SLICE_PRECISION},
        {GAP_CALIBRATION, SLICE_CALIBRATION_BIAS},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        gaps[plain[i].gap] = spread(bench, values, plain[i].metric);
    }
    struct slice_gap_value *ratio = &gaps[GAP_DEMOGRAPHIC_PARITY_RATIO];
    if (ratio->compared_count > 1) {
        ratio->value.value = divide(values[ratio->lowest][SLICE_SELECTION_RATE],
                                    values[ratio->highest][SLICE_SELECTION_RATE]);
    }
    const struct slice_gap_value *recall = &gaps[GAP_EQUAL_OPPORTUNITY];
    const struct slice_gap_value *rate = &gaps[GAP_PREDICTIVE_EQUALITY];
    gaps[GAP_EQUALIZED_ODDS] = recall->value.value > rate->value.value ? *recall : *rate;
    if (isnan(recall->value.value) || isnan(rate->value.value)) {
        gaps[GAP_EQUALIZED_ODDS].value.value = NAN;
    }
}

/* As many groups as there are, drawn with replacement. */
static void draw_groups(struct bench *bench, uint64_t *state)
{
    memset(bench->times, 0, bench->group_count * sizeof(*bench->times));
    for (uint32_t i = 0; i < bench->group_count; i++) {
        *state = hash64_combine(*state, i);
        bench->times[*state % bench->group_count]++;
    }
    for (uint32_t p = 0; p < bench->part_count; p++) {
        struct part *part = &bench->parts[p];
        for (uint32_t i = 0; i < part->count; i++) {
            part->drawn[i] = part->weights[i] * (double)bench->times[part->group[i]];
        }
    }
}

/* The figures of all slices, of the rows as they are or as they were drawn. */
static void measure_all(struct bench *bench, bool is_drawn, double (*values)[SLICE_METRIC_COUNT])
{
    for (uint32_t p = 0; p < bench->part_count; p++) {
        const struct part *part = &bench->parts[p];
        measure_part(part, is_drawn ? part->drawn : part->weights, bench->options->threshold,
                     values[p]);
    }
}

/* The gap between the two slices that it was found between. */
static double gap_between(const struct slice_gap_value *gap, enum slice_gap which,
                          double (*values)[SLICE_METRIC_COUNT])
{
    if (!isfinite(gap->value.value)) {
        return NAN;
    }
    double high = values[gap->highest][gap->metric];
    double low = values[gap->lowest][gap->metric];
    return which == GAP_DEMOGRAPHIC_PARITY_RATIO ? divide(low, high) : high - low;
}

static enum status bootstrap(struct bench *bench, struct slice_measure *measures,
                             struct error *error)
{
    uint32_t replicates = bench->options->replicates;
    uint32_t width = bench->part_count * SLICE_METRIC_COUNT + SLICE_GAP_COUNT;
    double *drawn =
        calloc((size_t)replicates * width + 1, sizeof(*drawn)); /* [width][replicates] */
    double(*values)[SLICE_METRIC_COUNT] = calloc((size_t)bench->part_count + 1, sizeof(*values));
    if (!drawn || !values) {
        free(drawn);
        free(values);
        return out_of_memory(error);
    }
    uint64_t state = hash64_combine(bench->options->seed, 0x736c6963);
    for (uint32_t r = 0; r < replicates; r++) {
        draw_groups(bench, &state);
        measure_all(bench, true, values);
        for (uint32_t i = 0; i < bench->part_count * SLICE_METRIC_COUNT; i++) {
            drawn[(size_t)i * replicates + r] =
                values[i / SLICE_METRIC_COUNT][i % SLICE_METRIC_COUNT];
        }
        for (uint32_t g = 0; bench->gaps && g < SLICE_GAP_COUNT; g++) {
            drawn[((size_t)width - SLICE_GAP_COUNT + g) * replicates + r] =
                gap_between(&bench->gaps[g], (enum slice_gap)g, values);
        }
    }
    for (uint32_t i = 0; i < bench->part_count * SLICE_METRIC_COUNT; i++) {
        eval_value_interval(drawn + (size_t)i * replicates, replicates,
                            &measures[i / SLICE_METRIC_COUNT].metric[i % SLICE_METRIC_COUNT]);
    }
    for (uint32_t g = 0; bench->gaps && g < SLICE_GAP_COUNT; g++) {
        eval_value_interval(drawn + ((size_t)width - SLICE_GAP_COUNT + g) * replicates, replicates,
                            &bench->gaps[g].value);
    }
    free(drawn);
    free(values);
    return STATUS_OK;
}

static enum status measure_bench(struct bench *bench, struct slice_measure *measures,
                                 struct error *error)
{
    double(*values)[SLICE_METRIC_COUNT] = calloc((size_t)bench->part_count + 1, sizeof(*values));
    enum status status = values ? STATUS_OK : out_of_memory(error);
    for (uint32_t p = 0; status == STATUS_OK && p < bench->part_count; p++) {
        status = count_part(bench, &bench->parts[p], &measures[p], error);
    }
    if (status != STATUS_OK) {
        free(values);
        return status;
    }
    measure_all(bench, false, values);
    if (bench->gaps) {
        measure_gaps(bench, values);
    }
    for (uint32_t p = 0; p < bench->part_count; p++) {
        for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
            measures[p].metric[m] = (struct eval_value){values[p][m], NAN, NAN};
        }
    }
    free(values);
    return bench->options->replicates > 0 ? bootstrap(bench, measures, error) : STATUS_OK;
}

enum status slice_metrics_measure(const struct row_table *table, const uint32_t *chosen,
                                  uint32_t count, const float *chances, const uint16_t *slice_of,
                                  uint32_t slice_count, const struct slice_options *options,
                                  struct slice_measure *ret_measures, const bool *is_compared,
                                  struct slice_gap_value *ret_gaps, struct error *error)
{
    struct bench bench = {.options = options,
                          .part_count = slice_count,
                          .is_compared = is_compared,
                          .gaps = ret_gaps};
    enum status status = fill_parts(&bench, table, chosen, count, chances, slice_of, error);
    if (status == STATUS_OK) {
        status = measure_bench(&bench, ret_measures, error);
    }
    bench_release(&bench);
    return status;
}
