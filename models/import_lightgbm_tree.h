/* One tree of a LightGBM text; the part of import_lightgbm.c that knows its fields. */
#ifndef MODELS_IMPORT_LIGHTGBM_TREE_H
#define MODELS_IMPORT_LIGHTGBM_TREE_H

#include "models/tree_builder.h"
#include "pipeline/base/text.h"

/* Fields of one tree, as they stand in the file. */
enum lightgbm_field {
    FIELD_NUM_LEAVES,
    FIELD_NUM_CAT,
    FIELD_SPLIT_FEATURE,
    FIELD_THRESHOLD,
    FIELD_DECISION_TYPE,
    FIELD_LEFT_CHILD,
    FIELD_RIGHT_CHILD,
    FIELD_LEAF_VALUE,
    FIELD_LEAF_COUNT,
    FIELD_CAT_BOUNDARIES,
    FIELD_CAT_THRESHOLD,
    FIELD_IS_LINEAR,
    LIGHTGBM_FIELD_COUNT,
};

/* A growing array of numbers. */
struct lightgbm_numbers {
    double *values; /* Owned. */
    uint32_t count;
    uint32_t capacity;
};

struct lightgbm_importer {
    const char *name;
    const char *next;
    const char *end;
    struct error *error;
    struct tree_builder *builder;
    uint32_t tree_count;
    uint32_t announced_trees;
    uint32_t trees_per_iteration;
    uint32_t feature_count;
    bool averages;
    struct text objective;
    struct text feature_names;
    struct lightgbm_numbers numbers[LIGHTGBM_FIELD_COUNT];
    struct tree_input *nodes; /* Owned. */
    uint32_t node_capacity;
    uint32_t *sets; /* Owned; of the tree under way. */
};

/* STATUS_INVALID: "FILE: FIELD: EXPECTED expected". */
enum status lightgbm_refuse(const struct lightgbm_importer *importer, const char *field,
                            const char *expected);
enum status lightgbm_out_of_memory(const struct lightgbm_importer *importer);

/* The next word of a list separated by blanks; false at its end. */
bool lightgbm_next_word(struct text *list, struct text *ret_word);

/* True when the number is whole and in [0, max]. */
bool lightgbm_count(double number, uint32_t max, uint32_t *ret_count);

/* Keeps the numbers of a line "key=value" of a tree; fields that do not count are skipped. */
MUST_CHECK enum status lightgbm_read_field(struct lightgbm_importer *importer, struct text key,
                                           struct text value);

/* All fields of the tree have been read: adds it to the builder. */
MUST_CHECK enum status lightgbm_add_tree(struct lightgbm_importer *importer);

#endif
