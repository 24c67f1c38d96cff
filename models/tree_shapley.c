#include "models/tree_shapley.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"

#define NONE UINT32_MAX
#define PI 3.14159265358979323846

/* Four at once where the machine can. */
typedef double quad __attribute__((vector_size(4 * sizeof(double))));
/* Left and right: two doubles of an array, wherever they begin. */
typedef double pair
    __attribute__((vector_size(2 * sizeof(double)), aligned(sizeof(double)), may_alias));

/*
 * An edge leads from a split to a child and has the child's number, counted from the tree's root;
 * edge 0 leads to the root.
 */
struct split {
    pair shares;     /* Of the training rows that come here. */
    float values[2]; /* Of leaves, else 0. */
    float threshold;
    uint32_t column;
    uint32_t edge;   /* That leads here. */
    uint32_t left;   /* Edge; the right one is the next. */
    uint32_t leaves; /* 1: the left child is one; 2: the right. */
    uint32_t above;  /* The last edge above of the same feature, or NONE. */
};

/* Arrays by edge are as long as the largest tree. */
struct tree_shapley {
    uint32_t quads;        /* Of points of the quadrature. */
    quad *places;          /* [quads] in (0, 1) */
    quad *weights;         /* [quads] of sum 1; 0 for points that only fill up. */
    struct split *splits;  /* Tree after tree, parents before children. */
    uint32_t *split_first; /* [tree_count + 1] */
    double *zeros;         /* By edge: what its feature lets through where it is unknown, ... */
    double *ones;          /* ... where it is known: 1 or 0, ... */
    double *gaps;          /* ... and by how much that is more. */
    quad *products;        /* By edge, [quads]: of the factors from the root down to here. */
    quad *sums;            /* By edge, [quads]: of leaves, with the factors below here. */
    quad *terms;           /* [feature_count][quads] */
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
    }
}

static bool is_leaf(const struct tree_ensemble *ensemble, uint32_t node)
{
    return ensemble->nodes[node].left == node;
}

/* Goes up from a split to where its feature was met last. */
static uint32_t find_above(const struct tree_ensemble *ensemble, const uint32_t *parents,
                           uint32_t root, uint32_t node)
{
    for (uint32_t at = node; at != root; at = parents[at - root]) {
        if (feature_of(ensemble, parents[at - root]) == feature_of(ensemble, node)) {
            return at - root;
        }
    }
    return NONE;
}

static struct split split_of(const struct tree_ensemble *ensemble, const uint32_t *parents,
                             uint32_t root, uint32_t node)
{
    const struct tree_node *from = &ensemble->nodes[node];
    struct split split = {
        .threshold = from->threshold,
        .column = from->column,
        .edge = node - root,
        .left = from->left - root,
        .above = find_above(ensemble, parents, root, node),
    };
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t child = from->left + side;
        split.leaves |= (uint32_t)is_leaf(ensemble, child) << side;
        split.values[side] = is_leaf(ensemble, child) ? ensemble->nodes[child].value : 0;
        split.shares[side] = ensemble->shares[child];
    }
    return split;
}

/* Children stand behind their parents. */
static void fill_splits(struct tree_shapley *self, const struct tree_ensemble *ensemble,
                        uint32_t *parents)
{
    uint32_t count = 0;
    for (uint32_t t = 0; t < ensemble->facts.tree_count; t++) {
        uint32_t root = ensemble->roots[t];
        uint32_t end = tree_end(ensemble, t);
        self->split_first[t] = count;
        for (uint32_t i = root; i < end; i++) {
            if (!is_leaf(ensemble, i)) {
                uint32_t left = ensemble->nodes[i].left;
                parents[left - root] = i;
                parents[left + 1 - root] = i;
                self->splits[count++] = split_of(ensemble, parents, root, i);
            }
        }
    }
    self->split_first[ensemble->facts.tree_count] = count;
}

/* Aligned zeros; at least one. */
static quad *take_quads(size_t count)
{
    size_t bytes = (count > 0 ? count : 1) * sizeof(quad);
    quad *quads = aligned_alloc(sizeof(quad), bytes);
    return quads ? memset(quads, 0, bytes) : NULL;
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
        /* The other half of a tree's nodes, and one more, are leaves. */
        self->splits = calloc(facts->node_count / 2 + 1, sizeof(struct split));
        self->split_first = calloc((size_t)facts->tree_count + 1, sizeof(uint32_t));
        self->zeros = calloc(largest, sizeof(double));
        self->ones = calloc(largest, sizeof(double));
        self->gaps = calloc(largest, sizeof(double));
        self->products = take_quads(largest * quads);
        self->sums = take_quads(largest * quads);
        self->terms = take_quads(facts->feature_count * quads);
    }
    bool is_good = self && parents && self->places && self->weights && self->splits &&
                   self->split_first && self->zeros && self->ones && self->gaps && self->products &&
                   self->sums && self->terms;
    if (is_good) {
        fill_points(self, count);
        fill_splits(self, ensemble, parents);
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
        free(shapley->splits);
        free(shapley->split_first);
        free(shapley->zeros);
        free(shapley->ones);
        free(shapley->gaps);
        free(shapley->products);
        free(shapley->sums);
        free(shapley->terms);
        free(shapley);
    }
}

/* ---- a row ---- */

#define INLINE static inline __attribute__((always_inline))

/*
 * Where the split's feature was met above, both splits count as one. Without branches that depend
 * on the row: they would be guessed wrong half of the time.
 */
INLINE void look(const struct tree_shapley *self, const struct split *split, const float *tile)
{
    static const pair known[] = {{0, 1}, {1, 0}};
    pair one = known[tile[(size_t)split->column * TREE_TILE_ROWS] < split->threshold];
    pair zero = split->shares;
    if (split->above != NONE) {
        one *= self->ones[split->above];
        zero *= self->zeros[split->above];
    }
    *(pair *)(self->zeros + split->left) = zero;
    *(pair *)(self->ones + split->left) = one;
    *(pair *)(self->gaps + split->left) = one - zero;
}

/*
 * 1 / the factor of the edge above, by which it is taken back. Where that does not let the row
 * through, 0: its part of the factor stays as it is.
 */
INLINE void take_back(const struct tree_shapley *self, uint32_t above, const quad *place,
                      quad *ret_back)
{
    double one = self->ones[above];
    quad factor = *place * self->gaps[above] + self->zeros[above];
    *ret_back = one / (factor * one + (1 - one));
}

/* By which a split changes the product, left and right. */
INLINE void find_factors(const struct tree_shapley *self, const struct split *split,
                         const quad *place, quad ret_factors[2], quad *ret_back)
{
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t edge = split->left + side;
        ret_factors[side] = *place * self->gaps[edge] + self->zeros[edge];
    }
    if (split->above != NONE) {
        double closed = 1 - self->ones[split->above];
        take_back(self, split->above, place, ret_back);
        ret_factors[0] = ret_factors[0] * *ret_back + closed * split->shares[0];
        ret_factors[1] = ret_factors[1] * *ret_back + closed * split->shares[1];
    }
}

INLINE void go_down(const struct tree_shapley *self, const struct split *split,
                    const struct split *end, const float *tile, const uint32_t quads)
{
    memcpy(self->products, self->weights, quads * sizeof(quad));
    for (; split < end; split++) {
        const quad *before = self->products + (size_t)split->edge * quads;
        quad *left = self->products + (size_t)split->left * quads;
        look(self, split, tile);
        for (uint32_t q = 0; q < quads; q++) {
            quad factors[2];
            quad back;
            find_factors(self, split, &self->places[q], factors, &back);
            left[q] = before[q] * factors[0];
            left[quads + q] = before[q] * factors[1];
        }
    }
}

/* A leaf has no sum, and what stands there may be anything. */
INLINE void take_sum(const struct split *split, uint32_t side, const quad *sum, quad *ret_sum)
{
    typedef uint64_t bits __attribute__((vector_size(sizeof(quad))));
    uint64_t keeps = (uint64_t)(split->leaves >> side & 1) - 1;
    *ret_sum = (quad)((bits)*sum & keeps) + (double)split->values[side];
}

/*
 * Known, a split's feature lets through more or less by its gaps. Where it was met above, all
 * leaves below count for both: the edge above gives back what it will be given for them.
 */
INLINE void go_up(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                  const struct split *begin, const struct split *end, const uint32_t quads)
{
    for (const struct split *split = end; split-- > begin;) {
        const quad *before = self->products + (size_t)split->edge * quads;
        const quad *children = self->sums + (size_t)split->left * quads;
        quad *sum = self->sums + (size_t)split->edge * quads;
        quad *term = self->terms + (size_t)ensemble->columns[split->column].feature * quads;
        for (uint32_t q = 0; q < quads; q++) {
            quad factors[2];
            quad back;
            quad left;
            quad right;
            find_factors(self, split, &self->places[q], factors, &back);
            take_sum(split, 0, children + q, &left);
            take_sum(split, 1, children + quads + q, &right);
            quad all = factors[0] * left + factors[1] * right;
            quad gain = self->gaps[split->left] * left + self->gaps[split->left + 1] * right;
            if (split->above != NONE) {
                gain = back * (gain - self->gaps[split->above] * all);
            }
            sum[q] = all;
            term[q] += before[q] * gain;
        }
    }
}

INLINE void explain_trees(const struct tree_shapley *self, const struct tree_ensemble *ensemble,
                          const float *tile, uint32_t output, const uint32_t quads)
{
    for (uint32_t t = 0; t < ensemble->facts.tree_count; t++) {
        if (ensemble->outputs[t] == output) {
            const struct split *begin = self->splits + self->split_first[t];
            const struct split *end = self->splits + self->split_first[t + 1];
            go_down(self, begin, end, tile, quads);
            go_up(self, ensemble, begin, end, quads);
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
