/*
 * The kind isolation_forest (isolation_forest.h): tensors nodes [count, 4], each with feature (-1:
 * a leaf), cut, index of the left child (right follows) and path; and roots [trees]. The logit
 * before calibration is the row's mean path times -1; the manifest's calibration makes of it one
 * that can be used, see path_scale.h. Reasons are what the cuts on a feature change of the path,
 * exact.
 */
#ifndef MODELS_PACK_ISOLATION_FOREST_H
#define MODELS_PACK_ISOLATION_FOREST_H

#include "models/isolation_forest.h"
#include "models/tensor_file.h"

#define ISOLATION_NODE_FLOATS 4u
#define ISOLATION_NODES_MAX (1u << 22) /* Of all trees; indices are exact as floats. */

/* The tensor `nodes` of a forest, to free(); NULL: out of memory. */
float *isolation_nodes_as_floats(const struct isolation_forest *forest);

/* The tensor `roots` of a forest, to free(); NULL: out of memory. */
float *isolation_roots_as_floats(const struct isolation_forest *forest);

#endif
