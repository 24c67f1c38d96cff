#include "models/isotonic_fit.h"

#include <stdlib.h>

#include "models/metrics.h"
#include "pipeline/base/fixed_math.h"

/* As many rows of the base rate are mixed into each pool in the end. */
#define PULL_ROWS 1.0

struct pool {
    double weight, positive, margin; /* Sums; margin is weighed. */
};

static double share(const struct pool *pool, const struct pool *pull)
{
    return (pool->positive + pull->positive) / (pool->weight + pull->weight);
}

static void join(struct pool *into, const struct pool *from)
{
    into->weight += from->weight;
    into->positive += from->positive;
    into->margin += from->margin;
}

/* Joins the last pools while they do not rise. */
static uint32_t join_violators(struct pool *pools, uint32_t count, const struct pool *pull)
{
    while (count > 1 && share(&pools[count - 2], pull) >= share(&pools[count - 1], pull)) {
        join(&pools[count - 2], &pools[count - 1]);
        count--;
    }
    return count;
}

/* Rising margins; rows of one margin are one pool from the start. */
static uint32_t pool_rows(const struct held_out *held, const struct ranking *ranking,
                          struct pool *pools)
{
    static const struct pool none = {0};
    uint32_t count = 0;
    for (uint32_t place = held->count; place-- > 0;) {
        uint32_t row = ranking->order[place];
        double weight = held->weights[row];
        struct pool one = {weight, held->labels[row] ? weight : 0,
                           weight * (double)held->margins[row]};
        bool is_tied = place + 1 < held->count && !ranking->ends_a_tie[place];
        if (is_tied && count > 0) {
            join(&pools[count - 1], &one);
        } else {
            pools[count++] = one;
        }
        if (place == 0 || ranking->ends_a_tie[place - 1]) {
            count = join_violators(pools, count, &none);
        }
    }
    return count;
}

/*
 * The pull is stronger on light pools, which it may put out of order again: one row at the low end
 * would come to stand above the many that follow.
 */
static uint32_t pool_pulled(struct pool *pools, uint32_t count, const struct pool *pull)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        pools[kept++] = pools[i];
        kept = join_violators(pools, kept, pull);
    }
    return kept;
}

/* Neighbours whose weights together are least become one, until few enough are left. */
static uint32_t thin_out(struct pool *pools, uint32_t count)
{
    while (count > CALIBRATION_POINTS_MAX) {
        uint32_t best = 0;
        for (uint32_t i = 1; i + 1 < count; i++) {
            double now = pools[i].weight + pools[i + 1].weight;
            best = now < pools[best].weight + pools[best + 1].weight ? i : best;
        }
        join(&pools[best], &pools[best + 1]);
        for (uint32_t i = best + 1; i + 1 < count; i++) {
            pools[i] = pools[i + 1];
        }
        count--;
    }
    return count;
}

static enum status make_points(const struct pool *pools, uint32_t count, const struct pool *pull,
                               struct pack_calibration *calibration, struct error *error)
{
    calibration->margins = calloc(count, sizeof(float));
    calibration->logits = calloc(count, sizeof(float));
    if (!calibration->margins || !calibration->logits) {
        pack_calibration_release(calibration);
        return error_set(error, STATUS_FATAL, "calibration: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        float margin = (float)(pools[i].margin / pools[i].weight);
        uint32_t used = calibration->point_count;
        if (used == 0 || margin > calibration->margins[used - 1]) { /* Not the same as a float. */
            calibration->margins[used] = margin;
            calibration->logits[used] = (float)fixed_logit(share(&pools[i], pull));
            calibration->point_count++;
        }
    }
    return STATUS_OK;
}

static bool rises(const struct pack_calibration *calibration)
{
    uint32_t count = calibration->point_count;
    return count >= 2 && calibration->logits[count - 1] > calibration->logits[0];
}

enum status isotonic_fit(const struct held_out *held, struct pack_calibration *ret_calibration,
                         struct error *error)
{
    struct pack_calibration made = {.slope = 1};
    struct ranking ranking = {0};
    struct pool *pools = calloc((size_t)held->count + 1, sizeof(*pools));
    enum status status = pools ? ranking_make(held->margins, held->count, &ranking, error)
                               : error_set(error, STATUS_FATAL, "calibration: out of memory");
    if (status == STATUS_OK) {
        struct pool all = {0};
        for (uint32_t i = 0; i < held->count; i++) {
            all.weight += held->weights[i];
            all.positive += held->labels[i] ? held->weights[i] : 0;
        }
        const struct pool pull = {.weight = PULL_ROWS,
                                  .positive = PULL_ROWS * all.positive / all.weight};
        uint32_t count = thin_out(pools, pool_rows(held, &ranking, pools));
        count = pool_pulled(pools, count, &pull);
        if (count >= 2) {
            status = make_points(pools, count, &pull, &made, error);
        }
    }
    if (status == STATUS_OK && !rises(&made)) {
        pack_calibration_release(&made);
        made.slope = 1;
    }
    ranking_release(&ranking);
    free(pools);
    if (status == STATUS_OK) {
        *ret_calibration = made;
    }
    return status;
}
