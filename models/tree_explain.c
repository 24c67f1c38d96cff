/* Reasons by path: Saabas, "Interpreting random forests" (2014); exact ones: tree_shapley.h. */
#include "models/tree_ensemble.h"

#include <assert.h>
#include <string.h>

#include "models/tree_layout.h"
#include "models/tree_shapley.h"

struct walk {
    const struct tree_ensemble *ensemble;
    const float *lane; /* Lane 0 of a tile. */
    double *contributions;
};

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
    struct walk walk = {ensemble, scratch->tile, scratch->contributions};
    memset(walk.contributions, 0, facts->feature_count * sizeof(double));
    if (reasons == TREE_REASONS_SHAPLEY) {
        tree_shapley_explain(scratch->shapley, ensemble, scratch->tile, output,
                             scratch->contributions);
    }
    double expected = 0;
    for (uint32_t t = 0; t < facts->tree_count; t++) {
        uint32_t root = ensemble->roots[t];
        if (ensemble->outputs[t] != output) {
            continue;
        }
        expected += ensemble->means[root];
        if (reasons == TREE_REASONS_PATH) {
            explain_path(&walk, root);
        }
    }
    for (uint32_t f = 0; f < facts->feature_count; f++) {
        ret_contributions[f] = (float)(walk.contributions[f] / ensemble->divisor);
    }
    *ret_base = (float)(ensemble->base[output] + expected / ensemble->divisor);
    return STATUS_OK;
}
