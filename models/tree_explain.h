/* Room for tree_ensemble_explain(). */
#ifndef MODELS_TREE_EXPLAIN_H
#define MODELS_TREE_EXPLAIN_H

#include <stdint.h>

struct tree_path_step;

/* For trees of at most `depth` splits between root and leaf; free() it. NULL: out of memory. */
struct tree_path_step *tree_path_steps_create(uint32_t depth);

#endif
