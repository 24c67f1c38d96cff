/*
 * Which of a tree model's outputs a pack takes, and what it makes of its margin m:
 *
 *   output: chance (the default)
 *     one logistic output          scale m, the logit of the maker's own chance
 *     cross_entropy_lambda         m: 1 - exp(-log(1 + exp(m))) is the chance of a row of weight 1
 *     classes by softmax           the log odds of the class: m - log(sum of exp(the others'))
 *     one logistic output a class  scale m of that class (LightGBM's multiclassova)
 *     all others                   m, where the manifest has a calibration or it is logitraw
 *   output: value
 *     what has no chance           m, whose link gives the value that the maker predicts
 *
 * Reasons for log odds of classes: each output's own reasons, those of the others weighted by their
 * shares of the softmax, averaged along the straight line from the expected margins to the row's
 * (Aumann and Shapley, "Values of Non-Atomic Games", 1974, of log-sum-exp; how Chen, Lundberg and
 * Lee, "Explaining a series of models by propagating Shapley values", 2022, chain them). Of two
 * classes that is the difference of both outputs' reasons.
 */
#ifndef MODELS_PACK_TREES_OUTPUT_H
#define MODELS_PACK_TREES_OUTPUT_H

#include "models/model_pack.h"
#include "models/tree_ensemble.h"
#include "pipeline/config/yaml.h"

struct pack_trees_output {
    uint32_t count;  /* Of the model. */
    uint32_t chosen; /* Below count. */
    bool is_softmax; /* Log odds of the chosen one against all others. */
    float scale;     /* Else: logit for one of the margin. */
    uint64_t hash;   /* Of what was chosen; 0 for a model with one output whose chance it is. */
};

/*
 * Reads class, classes and output of the manifest `root`, and sets pack->output and pack->classes.
 * `file` stands for the model in messages. STATUS_INVALID where the model has several outputs and
 * none is chosen, has no such class, or gives no chance and none is made of it.
 */
MUST_CHECK enum status pack_trees_output_read(const char *file, const struct yaml_node *root,
                                              const struct tree_facts *facts,
                                              struct model_pack *pack,
                                              struct pack_trees_output *ret_output,
                                              struct error *error);

/*
 * logits[rows] from margins[rows][count]; where `values` is not NULL, in values[rows][count] what
 * model_ops.score_classes() says.
 */
void pack_trees_output_logits(const struct pack_trees_output *output, const float *margins,
                              uint32_t rows, float *logits, float *values);

/*
 * From the reasons of each output, contributions[count][features] and bases[count], those of the
 * logit: terms[features] and ret_base, which sum to the logit within 1e-4. Without a softmax only
 * the chosen output's are read. `weights` is scratch [count].
 */
void pack_trees_output_reasons(const struct pack_trees_output *output, uint32_t features,
                               const float *contributions, const float *bases, double *weights,
                               float *terms, float *ret_base);

#endif
