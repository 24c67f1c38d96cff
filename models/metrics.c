#include "models/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "pipeline/base/fixed_math.h"

struct keyed_row {
    float score;
    uint32_t row;
};

/* Highest first; equal scores in the order of rows, so that the result does not hang on qsort. */
static int compare_falling(const void *a, const void *b)
{
    const struct keyed_row *x = a;
    const struct keyed_row *y = b;
    if (x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

enum status ranking_make(const float *scores, uint32_t count, struct ranking *ret_ranking,
                         struct error *error)
{
    struct keyed_row *rows = calloc((size_t)count + 1, sizeof(*rows));
    struct ranking ranking = {
        .count = count,
        .order = calloc((size_t)count + 1, sizeof(*ranking.order)),
        .ends_a_tie = calloc((size_t)count + 1, 1),
    };
    if (!rows || !ranking.order || !ranking.ends_a_tie) {
        free(rows);
        ranking_release(&ranking);
        return error_set(error, STATUS_FATAL, "metrics: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = (struct keyed_row){isnan(scores[i]) ? -INFINITY : scores[i], i};
    }
    qsort(rows, count, sizeof(*rows), compare_falling);
    for (uint32_t i = 0; i < count; i++) {
        ranking.order[i] = rows[i].row;
        ranking.ends_a_tie[i] = i + 1 == count || rows[i].score != rows[i + 1].score;
    }
    free(rows);
    *ret_ranking = ranking;
    return STATUS_OK;
}

void ranking_release(struct ranking *ranking)
{
    free(ranking->order);
    free(ranking->ends_a_tie);
    *ranking = (struct ranking){0};
}

/* Weights of the classes among equal scores. */
struct tie {
    double positive, negative;
};

static void tie_add(struct tie *tie, uint8_t label, double weight)
{
    tie->positive += label ? weight : 0;
    tie->negative += label ? 0 : weight;
}

double metric_roc_auc(const struct ranking *ranking, const uint8_t *labels, const double *weights)
{
    double positives_above = 0;
    double negatives = 0;
    double area = 0;
    struct tie tie = {0};
    for (uint32_t i = 0; i < ranking->count; i++) {
        uint32_t row = ranking->order[i];
        tie_add(&tie, labels[row], weights[row]);
        if (ranking->ends_a_tie[i]) {
            area += tie.negative * (positives_above + 0.5 * tie.positive);
            positives_above += tie.positive;
            negatives += tie.negative;
            tie = (struct tie){0};
        }
    }
    double pairs = positives_above * negatives;
    return pairs > 0 ? area / pairs : NAN;
}

/* The sum of precision times recall gained, before it is divided by all positives. */
struct precision_sum {
    double above; /* Weight of all rows so far. */
    double found; /* Of positives. */
    double area;
};

static void precision_step(struct precision_sum *sum, const struct tie *tie)
{
    sum->above += tie->positive + tie->negative;
    sum->found += tie->positive;
    if (tie->positive > 0) {
        sum->area += tie->positive * sum->found / sum->above;
    }
}

double metric_pr_auc(const struct ranking *ranking, const uint8_t *labels, const double *weights)
{
    struct precision_sum sum = {0};
    struct tie tie = {0};
    for (uint32_t i = 0; i < ranking->count; i++) {
        uint32_t row = ranking->order[i];
        tie_add(&tie, labels[row], weights[row]);
        if (ranking->ends_a_tie[i]) {
            precision_step(&sum, &tie);
            tie = (struct tie){0};
        }
    }
    return sum.found > 0 ? sum.area / sum.found : NAN;
}

double metric_pr_auc_reversed(const struct ranking *ranking, const uint8_t *labels,
                              const double *weights)
{
    struct precision_sum sum = {0};
    struct tie tie = {0};
    for (uint32_t i = ranking->count; i-- > 0;) {
        uint32_t row = ranking->order[i];
        tie_add(&tie, labels[row], weights[row]);
        if (i == 0 || ranking->ends_a_tie[i - 1]) {
            precision_step(&sum, &tie);
            tie = (struct tie){0};
        }
    }
    return sum.found > 0 ? sum.area / sum.found : NAN;
}

double metric_recall_at(const struct ranking *ranking, const uint8_t *labels, const double *weights,
                        double rate)
{
    struct tie all = {0};
    for (uint32_t row = 0; row < ranking->count; row++) {
        tie_add(&all, labels[row], weights[row]);
    }
    double allowed = rate * all.negative;
    struct tie above = {0};
    struct tie tie = {0};
    for (uint32_t i = 0; i < ranking->count; i++) {
        uint32_t row = ranking->order[i];
        tie_add(&tie, labels[row], weights[row]);
        if (ranking->ends_a_tie[i]) {
            if (above.negative + tie.negative > allowed) {
                break;
            }
            above.positive += tie.positive;
            above.negative += tie.negative;
            tie = (struct tie){0};
        }
    }
    return all.positive > 0 ? above.positive / all.positive : NAN;
}

double metric_log_loss(const float *chances, const uint8_t *labels, const double *weights,
                       uint32_t count)
{
    const double least = 1e-7;
    double loss = 0;
    double weight = 0;
    for (uint32_t i = 0; i < count; i++) {
        double chance = labels[i] ? (double)chances[i] : 1.0 - (double)chances[i];
        chance = chance > least ? chance : least;
        loss -= weights[i] * fixed_log(chance < 1.0 - least ? chance : 1.0 - least);
        weight += weights[i];
    }
    return loss / weight;
}

double metric_brier(const float *chances, const uint8_t *labels, const double *weights,
                    uint32_t count)
{
    double sum = 0;
    double weight = 0;
    for (uint32_t i = 0; i < count; i++) {
        double distance = (double)chances[i] - (double)labels[i];
        sum += weights[i] * distance * distance;
        weight += weights[i];
    }
    return sum / weight;
}

double metric_calibration_error(const struct ranking *ranking, const float *chances,
                                const uint8_t *labels, const double *weights,
                                struct calibration_bin ret_bins[CALIBRATION_BINS])
{
    struct calibration_bin bins[CALIBRATION_BINS] = {{0}};
    double all = 0;
    for (uint32_t row = 0; row < ranking->count; row++) {
        all += weights[row];
    }
    double before = 0;
    int bin = 0;
    for (uint32_t i = 0; i < ranking->count; i++) {
        uint32_t row = ranking->order[i];
        bins[bin].weight += weights[row];
        bins[bin].chance += weights[row] * (double)chances[row];
        bins[bin].observed += labels[row] ? weights[row] : 0;
        before += weights[row];
        if (ranking->ends_a_tie[i]) {
            while (bin < CALIBRATION_BINS - 1 && before >= all * (bin + 1) / CALIBRATION_BINS) {
                bin++;
            }
        }
    }
    double error = 0;
    for (int i = 0; i < CALIBRATION_BINS; i++) {
        if (bins[i].weight > 0) {
            bins[i].chance /= bins[i].weight;
            bins[i].observed /= bins[i].weight;
            error += bins[i].weight * fabs(bins[i].chance - bins[i].observed);
        }
        if (ret_bins) {
            ret_bins[i] = bins[i];
        }
    }
    return all > 0 ? error / all : NAN;
}

/* Mid-ranks, the mean place of each tie, from 0. */
static void fill_ranks(const struct ranking *ranking, double *ranks)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < ranking->count; i++) {
        if (ranking->ends_a_tie[i]) {
            for (uint32_t j = first; j <= i; j++) {
                ranks[ranking->order[j]] = 0.5 * ((double)first + (double)i);
            }
            first = i + 1;
        }
    }
}

static double correlation(const double *a, const double *b, uint32_t count)
{
    double mean = 0.5 * ((double)count - 1);
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (uint32_t i = 0; i < count; i++) {
        ab += (a[i] - mean) * (b[i] - mean);
        aa += (a[i] - mean) * (a[i] - mean);
        bb += (b[i] - mean) * (b[i] - mean);
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN;
}

static enum status rank_column(const float *values, uint32_t count, double *ranks,
                               struct error *error)
{
    struct ranking ranking;
    enum status status = ranking_make(values, count, &ranking, error);
    if (status == STATUS_OK) {
        fill_ranks(&ranking, ranks);
        ranking_release(&ranking);
    }
    return status;
}

enum status metric_rank_correlation(const float *a, const float *b, uint32_t count,
                                    double *ret_correlation, struct error *error)
{
    float *values = calloc(2 * (size_t)count + 1, sizeof(*values));
    double *ranks = calloc(2 * (size_t)count + 1, sizeof(*ranks));
    if (!values || !ranks) {
        free(values);
        free(ranks);
        return error_set(error, STATUS_FATAL, "metrics: out of memory");
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!isnan(a[i]) && !isnan(b[i])) {
            values[kept] = a[i];
            values[count + kept++] = b[i];
        }
    }
    enum status status = rank_column(values, kept, ranks, error);
    if (status == STATUS_OK) {
        status = rank_column(values + count, kept, ranks + count, error);
    }
    if (status == STATUS_OK) {
        *ret_correlation = kept >= 3 ? correlation(ranks, ranks + count, kept) : NAN;
    }
    free(values);
    free(ranks);
    return status;
}

static int compare_rising(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x < y ? -1 : x > y;
}

float metric_quantile(float *values, uint32_t count, double part)
{
    if (count == 0) {
        return NAN;
    }
    qsort(values, count, sizeof(*values), compare_rising);
    double place = part * ((double)count - 1);
    uint32_t below = (uint32_t)place;
    uint32_t above = below + 1 < count ? below + 1 : below;
    double share = place - (double)below;
    return (float)((1 - share) * (double)values[below] + share * (double)values[above]);
}
