/*
 * Gradient boosted trees and random forests made elsewhere, scored in process: XGBoost (JSON,
 * UBJSON) and LightGBM (text). An ensemble is constant once loaded and shared by threads; what a
 * call writes to is the caller's scratch, one a thread.
 *
 * The margin of output c of a row is base[c] + (sum of the leaves of its trees) / divisor, the
 * leaves being floats, summed as doubles in the order of the trees. It depends neither on the other
 * rows of the call nor on the kernel: every kernel takes the same comparisons and the same order.
 *
 * Splits, missing values (NaN) and categories go where the maker's own predictor sends them. All
 * trees of the file count; the file's note of a best iteration is not used.
 */
#ifndef MODELS_TREE_ENSEMBLE_H
#define MODELS_TREE_ENSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define TREE_FILE_BYTES_MAX (1u << 28)
#define TREE_FEATURES_MAX 65536u
#define TREE_OUTPUTS_MAX 1024u
#define TREE_COUNT_MAX (1u << 20)
#define TREE_NODES_MAX (1u << 24)   /* Of all trees. */
#define TREE_DEPTH_MAX 256u         /* Splits between root and leaf. */
#define TREE_COLUMNS_MAX (1u << 16) /* See tree_layout.h. */

/* What makes the maker's prediction of a margin m. */
enum tree_link {
    TREE_LINK_IDENTITY,
    TREE_LINK_SIGMOID, /* 1 / (1 + exp(-scale m)) */
    TREE_LINK_SOFTMAX, /* exp(m) over the sum of the row's outputs */
    TREE_LINK_EXP,
    TREE_LINK_STEP,     /* 1 where m > 0, else 0 */
    TREE_LINK_SQUARE,   /* sign(m) m^2 */
    TREE_LINK_SOFTPLUS, /* log(1 + exp(m)) */
    TREE_LINK_COUNT,
};

enum tree_kernel { TREE_KERNEL_PLAIN, TREE_KERNEL_AVX2, TREE_KERNEL_AVX512, TREE_KERNEL_COUNT };
extern const char *const tree_kernel_names[TREE_KERNEL_COUNT];

enum tree_reasons {
    TREE_REASONS_PATH,   /* Change of the expectation along the path (Saabas, 2014). Fast. */
    TREE_REASONS_SHAPLEY /* Exact, by the shares of training rows (Lundberg and others, 2018). */
};

struct tree_ensemble;
struct tree_scratch;

struct tree_facts {
    const char *maker;                /* "xgboost" or "lightgbm". */
    const char *objective;            /* As the file names it; "" where it names none. */
    const char *const *feature_names; /* [feature_count]; NULL where the file has none. */
    uint32_t feature_count;
    uint32_t output_count; /* Classes or targets; 1 for binary, regression and ranking. */
    uint32_t tree_count;
    uint32_t node_count;
    uint32_t depth; /* Of the deepest tree. */
    enum tree_link link;
    double link_scale; /* Of TREE_LINK_SIGMOID: the logit is link_scale times the margin. */
    bool has_covers;   /* Whether reasons can be given. */
    uint64_t hash;     /* Of the file's bytes. */
};

/*
 * Reads a model file, whose kind shows in its first bytes. STATUS_INVALID names the file, the field
 * and what was expected there: damaged files, values that are not finite, trees that are no trees,
 * features that do not exist, more of anything than the maxima above, kinds of models that are not
 * read (linear boosters, linear leaves, vector leaves), and, with what to do, pickles and XGBoost's
 * old binary.
 */
MUST_CHECK enum status tree_ensemble_load(const char *path, struct tree_ensemble **ret_ensemble,
                                          struct error *error);

/* The same from memory; `name` stands for the file in messages. */
MUST_CHECK enum status tree_ensemble_read(const char *name, const void *bytes, size_t length,
                                          struct tree_ensemble **ret_ensemble, struct error *error);
void tree_ensemble_unload(struct tree_ensemble *ensemble); /* NULL is a no-op. */

/* Valid as long as the ensemble. */
const struct tree_facts *tree_ensemble_facts(const struct tree_ensemble *ensemble);

/* Room for calls with `ensemble`. STATUS_FATAL when memory is exhausted. */
MUST_CHECK enum status tree_scratch_create(const struct tree_ensemble *ensemble,
                                           struct tree_scratch **ret_scratch, struct error *error);
void tree_scratch_destroy(struct tree_scratch *scratch); /* NULL is a no-op. */

/*
 * margins is [rows][output_count]; features is row-major [rows][stride], stride >= feature_count,
 * missing values as NaN. Never fails.
 */
void tree_ensemble_score(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                         const float *features, uint32_t rows, uint32_t stride, float *margins);

/*
 * The same for `count` rows out of a wider matrix: row i is rows[i] (NULL: i), feature f stands in
 * column columns[f] < stride (NULL: f).
 */
void tree_ensemble_score_picked(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                                const float *features, uint32_t stride, const uint32_t *columns,
                                const uint32_t *rows, uint32_t count, float *margins);

/* The best kernel of this machine, the one that tree_ensemble_score() uses, for the profile. */
enum tree_kernel tree_kernel_best(void);

/* The same as score, by a kernel that the machine has; for tests and benchmarks. */
bool tree_kernel_is_available(enum tree_kernel kernel);
void tree_ensemble_score_by(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                            enum tree_kernel kernel, const float *features, uint32_t rows,
                            uint32_t stride, float *margins);

/* values = the maker's predictions for `margins`, both [rows][output_count]; may be one array. */
void tree_ensemble_link(const struct tree_ensemble *ensemble, const float *margins, uint32_t rows,
                        float *values);

/*
 * The reasons for output `output` of one row of feature_count floats:
 * ret_contributions[feature_count] and ret_base, the expected margin, sum to the margin within
 * 1e-4. STATUS_INVALID where the file does not say how many training rows reached each leaf.
 */
MUST_CHECK enum status tree_ensemble_explain(const struct tree_ensemble *ensemble,
                                             struct tree_scratch *scratch,
                                             enum tree_reasons reasons, const float *features,
                                             uint32_t output, float *ret_contributions,
                                             float *ret_base, struct error *error);

#endif
