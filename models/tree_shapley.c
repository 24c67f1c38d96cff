#include "models/tree_shapley.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"

#define NONE UINT32_MAX
#define PI 3.14159265358979323846

/* Four at once where the machine can. */
typedef double quad __attribute__((vector_size(4 * sizeof(double))));

/*
 * An edge leads from a split to a child and has the child's number, counted from the tree's root.
 * Arrays by edge are as long as the largest tree.
 */
struct tree_shapley {
    uint32_t quads;  /* Of points of the quadrature. */
    quad *places;    /* [quads] in (0, 1) */
    quad *weights;   /* [quads] of sum 1; 0 for points that only fill up. */
    quad *outside;   /* [quads] of 1 / (1 - place) */
    uint32_t *above; /* [node_count], of splits: the last edge of the same feature, or NONE. */
    double *zeros;   /* By edge: what its feature lets through where it is unknown ... */
    bool *ones;      /* ... and whether it lets the row through. */
    quad *sums;      /* By edge, [quads]: the product down to here; later, sums of leaves. */
    quad *gains;     /* Likewise: by how much a known feature is better, where it lets through. */
    quad *terms;     /* [feature_count][quads] */
};

static uint32_t tree_end(const struct tree_ensemble *ensemble, uint32_t tree)
{
    const struct tree_facts *facts = &ensemble->facts;
    return tree + 1 < facts->tree_count ? ensemble->roots[tree + 1] : facts->node_count;
}

static uint32_t feature_of(const struct tree_ensemble *ensemble, uint32_t node)
{
    return ensemble->columns[ensemble->nodes[node].column].feature;
}

/* ---- once ---- */

/* Value and slope of Legendre's polynomial of degree n > 1 at x. */
static double legendre(uint32_t n, double x, double *ret_slope)
{
    double before = 1;
    double value = x;
    for (uint32_t k = 2; k <= n; k++) {
        double next = ((2.0 * k - 1) * x * value - (k - 1.0) * before) / k;
        before = value;
        value = next;
    }
    *ret_slope = n * (x * value - before) / (x * x - 1);
    return value;
}

/* Point i of `count` on [0, 1]: by Newton's method from where Tricomi's formula puts the root. */
static double find_point(uint32_t count, uint32_t i, double *ret_weight)
{
    if (i >= count || count == 1) {
        *ret_weight = i == 0 ? 1 : 0;
        return 0.5;
    }
    double x = fixed_cos(PI * (i + 0.75) / (count + 0.5));
    double slope;
    for (int round = 0; round < 8; round++) {
        double value = legendre(count, x, &slope);
        x -= value / slope;
    }
    (void)legendre(count, x, &slope);
    *ret_weight = 1 / ((1 - x * x) * slope * slope);
    return (1 + x) / 2;
}

static void fill_points(struct tree_shapley *self, uint32_t count)
{
    for (uint32_t i = 0; i < 4 * self->quads; i++) {
        double weight;
        double place = find_point(count, i, &weight);
        self->places[i / 4][i % 4] = place;
        self->weights[i / 4][i % 4] = weight;
        self->outside[i / 4][i % 4] = 1 / (1 - place);
    }
}

/* Goes up from each split to where its feature was met last. */
static void fill_above(struct tree_shapley *self, const struct tree_ensemble *ensemble,
                       uint32_t *parents)
{
    for (uint32_t t = 0; t < ensemble->facts.tree_count; t++) {
        uint32_t root = ensemble->roots[t];
        uint32_t end = tree_end(ensemble, t);
        for (uint32_t i = root; i < end; i++) {
            uint32_t left = ensemble->nodes[i].left;
            self->above[i] = NONE;
            if (left == i) {
                continue;
            }
            parents[left - root] = i;
            parents[left + 1 - root] = i;
            for (uint32_t at = i; at != root && self->above[i] == NONE; at = parents[at - root]) {
                if (feature_of(ensemble, parents[at - root]) == feature_of(ensemble, i)) {
                    self->above[i] = at - root;
                }
            }
        }
    }
}

/* Aligned; at least one. */
static quad *take_quads(size_t count)
{
    return aligned_alloc(sizeof(quad), (count > 0 ? count : 1) * sizeof(quad));
}

struct tree_shapley *tree_shapley_create(const struct tree_ensemble *ensemble)
{
    const struct tree_facts *facts = &ensemble->facts;
    uint32_t features = facts->depth < facts->feature_count ? facts->depth : facts->feature_count;
    uint32_t count = features < 2 ? 1 : (features + 1) / 2;
    size_t quads = (count + 3) / 4;
    size_t largest = 1;
    for (uint32_t t = 0; t < facts->tree_count; t++) {
        size_t nodes = tree_end(ensemble, t) - ensemble->roots[t];
        largest = nodes > largest ? nodes : largest;
    }
    struct tree_shapley *self = calloc(1, sizeof(*self));
    uint32_t *parents = calloc(largest, sizeof(*parents));
    if (self) {
        self->quads = (uint32_t)quads;
        self->places = take_quads(quads);
        self->weights = take_quads(quads);
        self->outside = take_quads(quads);
        self->above = calloc(facts->node_count, sizeof(uint32_t));
        self->zeros = calloc(largest, sizeof(double));
        self->ones = calloc(largest, sizeof(bool));
        self->sums = take_quads(largest * quads);
        self->gains = take_quads(largest * quads);
        self->terms = take_quads(facts->feature_count * quads);
    }
    bool is_good = self && parents && self->places && self->weights && self->outside &&
                   self->above && self->zeros && self->ones && self->sums && self->gains &&
                   self->terms;
    if (is_good) {
        fill_points(self, count);
        fill_above(self, ensemble, parents);
    } else {
        tree_shapley_destroy(self);
        self = NULL;
    }
    free(parents);
    return self;
}

void tree_shapley_destroy(struct tree_shapley *shapley)
{
    if (shapley) {
        free(shapley->places);
        free(shapley->weights);
        free(shapley->outside);
        free(shapley->above);
        free(shapley->zeros);
        free(shapley->ones);
        free(shapley->sums);
        free(shapley->gains);
        free(shapley->terms);
        free(shapley);
    }
}

/* ---- a row ---- */

#define INLINE static inline __attribute__((always_inline))

/* Where the split's feature was met before, both splits count as one: the first is taken back. */
INLINE void enter(const struct tree_shapley *self, uint32_t edge, const quad *before,
                  uint32_t above, double share, bool one, const uint32_t quads)
{
    const quad *places = self->places;
    quad *product = self->sums + (size_t)edge * quads;
    double zero = above == NONE ? share : share * self->zeros[above];
    double gap = (double)one - zero;
    self->zeros[edge] = zero;
    self->ones[edge] = one;
    if (above != NONE && !self->ones[above]) {
        for (uint32_t q = 0; q < quads; q++) {
            product[q] = before[q] * share;
        }
        return;
    }
    for (uint32_t q = 0; q < quads; q++) {
        product[q] = before[q] * (places[q] * gap + zero);
    }
    if (above != NONE) {
        double first = self->zeros[above];
        for (uint32_t q = 0; q < quads; q++) {
            product[q] /= places[q] * (1 - first) + first;
        }
    }
    if (one) {
        quad *gain = self->gains + (size_t)edge * quads;
        for (uint32_t q = 0; q < quads; q++) {
            gain[q] = gap / (places[q] * gap + zero);
        }
    }
}

/* Children stand behind their parents. */
INLINE void go_down(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                    const float *tile, uint32_t root, uint32_t end, const uint32_t quads)
{
    memcpy(self->sums, self->weights, quads * sizeof(quad));
    for (uint32_t i = root; i < end; i++) {
        const struct tree_node *node = &ensemble->nodes[i];
        quad *sum = self->sums + (size_t)(i - root) * quads;
        if (node->left == i) {
            for (uint32_t q = 0; q < quads; q++) {
                sum[q] *= (double)node->value;
            }
            continue;
        }
        float x = tile[(size_t)node->column * TREE_TILE_ROWS];
        uint32_t hot = node->left + (uint32_t) !(x < node->threshold);
        uint32_t cold = 2 * node->left + 1 - hot;
        uint32_t above = self->above[i];
        bool is_open = above == NONE || self->ones[above];
        enter(self, hot - root, sum, above, ensemble->shares[hot], is_open, quads);
        enter(self, cold - root, sum, above, ensemble->shares[cold], false, quads);
    }
}

/*
 * A known feature makes (1 - zero) / factor of the product where it lets the row through, and
 * -1 / (1 - place) where it does not. Leaves below a second split of a feature are the second's:
 * it takes back what the first will give them. Below one that does not let through, nothing is
 * left to take or give.
 */
INLINE void go_up(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                  uint32_t root, uint32_t end, const uint32_t quads)
{
    for (uint32_t i = end; i-- > root;) {
        uint32_t left = ensemble->nodes[i].left;
        if (left == i) {
            continue;
        }
        quad *sum = self->sums + (size_t)(i - root) * quads;
        const quad *pair = self->sums + (size_t)(left - root) * quads;
        bool is_right = self->ones[left + 1 - root];
        bool is_open = is_right || self->ones[left - root];
        uint32_t through = left - root + (uint32_t)is_right;
        const quad *hot = pair + (is_right ? quads : 0);
        const quad *cold = pair + (is_right ? 0 : quads);
        const quad *gain = self->gains + (size_t)through * quads;
        quad *term = self->terms + (size_t)feature_of(ensemble, i) * quads;
        for (uint32_t q = 0; q < quads; q++) {
            sum[q] = hot[q] + cold[q];
            if (is_open) {
                term[q] += gain[q] * hot[q] - self->outside[q] * cold[q];
            }
        }
        if (is_open && self->above[i] != NONE) {
            const quad *first = self->gains + (size_t)self->above[i] * quads;
            for (uint32_t q = 0; q < quads; q++) {
                term[q] -= first[q] * sum[q];
            }
        }
    }
}

INLINE void explain_trees(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                          const float *tile, uint32_t output, const uint32_t quads)
{
    for (uint32_t t = 0; t < ensemble->facts.tree_count; t++) {
        if (ensemble->outputs[t] == output) {
            uint32_t end = tree_end(ensemble, t);
            go_down(self, ensemble, tile, ensemble->roots[t], end, quads);
            go_up(self, ensemble, ensemble->roots[t], end, quads);
        }
    }
}

/* One quad, as trees of up to eight features on a path have it, without loops. */
INLINE void explain(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                    const float *tile, uint32_t output)
{
    if (self->quads == 1) {
        explain_trees(self, ensemble, tile, output, 1);
    } else {
        explain_trees(self, ensemble, tile, output, self->quads);
    }
}

static void explain_plain(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                          const float *tile, uint32_t output)
{
    explain(self, ensemble, tile, output);
}

#if defined(__x86_64__)
/* The same operations, so the same bits. */
__attribute__((target("avx2"))) static void explain_avx2(const struct tree_shapley *self,
                                                         const struct tree_ensemble *ensemble,
                                                         const float *tile, uint32_t output)
{
    explain(self, ensemble, tile, output);
}
#endif

void tree_shapley_explain(struct tree_shapley *shapley, const struct tree_ensemble *ensemble,
                          const float *tile, uint32_t output, double *contributions)
{
    const struct tree_facts *facts = &ensemble->facts;
    const uint32_t quads = shapley->quads;
    memset(shapley->terms, 0, (size_t)facts->feature_count * quads * sizeof(quad));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        explain_avx2(shapley, ensemble, tile, output);
    } else {
        explain_plain(shapley, ensemble, tile, output);
    }
#else
    explain_plain(shapley, ensemble, tile, output);
#endif
    for (uint32_t f = 0; f < facts->feature_count; f++) {
        const quad *terms = shapley->terms + (size_t)f * quads;
        double sum = 0;
        for (uint32_t q = 0; q < quads; q++) {
            sum += terms[q][0] + terms[q][1] + terms[q][2] + terms[q][3];
        }
        contributions[f] = sum;
    }
}
