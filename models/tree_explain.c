/*
 * Reasons. By path: Saabas, "Interpreting random forests" (2014). Exact: Lundberg, Erion and Lee,
 * "Consistent Individualized Feature Attribution for Tree Ensembles" (2018), algorithm 2. A path
 * is the set of features met on the way down; for each the share of training rows that flow on
 * when the feature is unknown (zero) and when it is known (one: 0 or 1), and for each number of
 * known features the weight of the subsets of that size.
 */
#include "models/tree_explain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/tree_layout.h"

#define NO_FEATURE UINT32_MAX

struct tree_path_step {
    uint32_t feature;
    double zero;
    double one;
    double weight;
};

struct walk {
    const struct tree_ensemble *ensemble;
    const float *lane;      /* Lane 0 of a tile. */
    const double *inverses; /* [k] is 1 / k. */
    double *contributions;
};

struct tree_path_step *tree_path_steps_create(uint32_t depth)
{
    /* Each level works on a copy of its parent's path, one step longer. */
    size_t levels = (size_t)depth + 2;
    return calloc(levels * (levels + 1) / 2, sizeof(struct tree_path_step));
}

static bool goes_left(const struct walk *walk, const struct tree_node *node)
{
    return walk->lane[(size_t)node->column * TREE_TILE_ROWS] < node->threshold;
}

static void explain_path(const struct walk *walk, uint32_t root)
{
    const struct tree_ensemble *ensemble = walk->ensemble;
    uint32_t at = root;
    while (ensemble->nodes[at].left != at) {
        const struct tree_node *node = &ensemble->nodes[at];
        uint32_t next = node->left + (uint32_t)!goes_left(walk, node);
        walk->contributions[ensemble->columns[node->column].feature] +=
            ensemble->means[next] - ensemble->means[at];
        at = next;
    }
}

/* Adds a step at place `length` to the path. */
static void extend(struct tree_path_step *path, uint32_t length, double zero, double one,
                   uint32_t feature)
{
    path[length] = (struct tree_path_step){feature, zero, one, length == 0 ? 1.0 : 0.0};
    double count = (double)length + 1;
    for (uint32_t i = length; i-- > 0;) {
        path[i + 1].weight += one * path[i].weight * ((double)i + 1) / count;
        path[i].weight *= zero * ((double)length - i) / count;
    }
}

/* Takes step `place` out of a path whose last step is `last`. */
static void unwind(struct tree_path_step *path, uint32_t last, uint32_t place)
{
    double one = path[place].one;
    double zero = path[place].zero;
    double next = path[last].weight;
    double count = (double)last + 1;
    for (uint32_t i = last; i-- > 0;) {
        if (one != 0) {
            double kept = path[i].weight;
            path[i].weight = next * count / (((double)i + 1) * one);
            next = kept - path[i].weight * zero * ((double)last - i) / count;
        } else {
            path[i].weight = path[i].weight * count / (zero * ((double)last - i));
        }
    }
    for (uint32_t i = place; i < last; i++) {
        path[i].feature = path[i + 1].feature;
        path[i].zero = path[i + 1].zero;
        path[i].one = path[i + 1].one;
    }
}

/*
 * The sum of the weights that unwind() would leave; `one` of a step is 0 or 1. inverses[k] is 1 /
 * k: here most of the time goes, and divisions are slow.
 */
static double unwound_sum(const struct tree_path_step *path, uint32_t last, uint32_t place,
                          const double *inverses)
{
    double zero = path[place].zero;
    double count = (double)last + 1;
    double sum = 0;
    if (path[place].one == 0) {
        for (uint32_t i = 0; i < last; i++) {
            sum += path[i].weight * inverses[last - i];
        }
        return sum * count / zero;
    }
    double next = path[last].weight;
    for (uint32_t i = last; i-- > 0;) {
        double weight = next * count * inverses[i + 1];
        sum += weight;
        next = path[i].weight - weight * zero * ((double)last - i) * inverses[last + 1];
    }
    return sum;
}

static uint32_t find_feature(const struct tree_path_step *path, uint32_t length, uint32_t feature)
{
    uint32_t place = 1; /* Step 0 is the root's and has no feature. */
    while (place < length && path[place].feature != feature) {
        place++;
    }
    return place;
}

static void settle_leaf(const struct walk *walk, const struct tree_path_step *path, uint32_t last,
                        double value)
{
    for (uint32_t i = 1; i <= last; i++) {
        walk->contributions[path[i].feature] +=
            unwound_sum(path, last, i, walk->inverses) * (path[i].one - path[i].zero) * value;
    }
}

/* Recurses at most TREE_DEPTH_MAX deep. `path` has `length` steps and room behind them. */
static void explain_exactly(const struct walk *walk, uint32_t at, struct tree_path_step *path,
                            uint32_t length, struct tree_path_step step)
{
    const struct tree_ensemble *ensemble = walk->ensemble;
    extend(path, length, step.zero, step.one, step.feature);
    const struct tree_node *node = &ensemble->nodes[at];
    if (node->left == at) {
        settle_leaf(walk, path, length, (double)node->value);
        return;
    }
    uint32_t feature = ensemble->columns[node->column].feature;
    uint32_t last = length;
    double zero = 1;
    double one = 1;
    uint32_t place = find_feature(path, length + 1, feature);
    if (place <= length) { /* Met before: both splits count as one. */
        zero = path[place].zero;
        one = path[place].one;
        unwind(path, last, place);
        last--;
    }
    uint32_t hot = node->left + (uint32_t)!goes_left(walk, node);
    uint32_t cold = 2 * node->left + 1 - hot;
    struct tree_path_step *below = path + last + 1;
    size_t bytes = ((size_t)last + 1) * sizeof(*path);
    memcpy(below, path, bytes);
    explain_exactly(walk, hot, below, last + 1,
                    (struct tree_path_step){feature, zero * ensemble->shares[hot], one, 0});
    memcpy(below, path, bytes);
    explain_exactly(walk, cold, below, last + 1,
                    (struct tree_path_step){feature, zero * ensemble->shares[cold], 0, 0});
}

enum status tree_ensemble_explain(const struct tree_ensemble *ensemble,
                                  struct tree_scratch *scratch, enum tree_reasons reasons,
                                  const float *features, uint32_t output, float *ret_contributions,
                                  float *ret_base, struct error *error)
{
    const struct tree_facts *facts = &ensemble->facts;
    assert(output < facts->output_count);
    if (!facts->has_covers) {
        return error_set(error, STATUS_INVALID,
                         "reasons: the model does not say how many rows reached each leaf");
    }
    struct tree_rows row = {.features = features};
    tree_columns_fill(ensemble, &row, 0, 1, scratch->tile);
    struct walk walk = {ensemble, scratch->tile, scratch->inverses, scratch->contributions};
    memset(walk.contributions, 0, facts->feature_count * sizeof(double));
    double expected = 0;
    for (uint32_t t = 0; t < facts->tree_count; t++) {
        uint32_t root = ensemble->roots[t];
        if (ensemble->outputs[t] != output) {
            continue;
        }
        expected += ensemble->means[root];
        if (reasons == TREE_REASONS_PATH) {
            explain_path(&walk, root);
        } else {
            explain_exactly(&walk, root, scratch->steps, 0,
                            (struct tree_path_step){NO_FEATURE, 1, 1, 0});
        }
    }
    for (uint32_t f = 0; f < facts->feature_count; f++) {
        ret_contributions[f] = (float)(walk.contributions[f] / ensemble->divisor);
    }
    *ret_base = (float)(ensemble->base[output] + expected / ensemble->divisor);
    return STATUS_OK;
}
