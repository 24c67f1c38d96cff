/* One tree of an XGBoost document; the part of import_xgboost.c that knows its arrays. */
#ifndef MODELS_IMPORT_XGBOOST_TREE_H
#define MODELS_IMPORT_XGBOOST_TREE_H

#include "models/import_xgboost_document.h"
#include "models/tree_builder.h"

struct xgboost_importer {
    const char *name;
    struct error *error;
    struct tree_builder *builder;
    const struct document_value *model; /* Of the booster. */
    const double *weights;              /* Of DART, one a tree; else NULL. */
    uint32_t output_count;
    /* Reused from tree to tree; owned. */
    struct tree_input *nodes;
    uint32_t node_capacity;
    uint32_t *sets;
};

/* STATUS_INVALID: "FILE: FIELD: EXPECTED expected". */
enum status xgboost_refuse(const struct xgboost_importer *importer, const char *field,
                           const char *expected);

/* Parameters are texts of numbers; 0 where there is none. False when it is none in [0, max]. */
bool xgboost_parameter(const struct document_value *object, const char *name, uint32_t max,
                       uint32_t *ret_value);

/* Adds tree number `index` to the builder; `output` is its entry of tree_info. */
MUST_CHECK enum status xgboost_read_tree(struct xgboost_importer *importer,
                                         const struct document_value *tree, uint32_t index,
                                         double output);

#endif
