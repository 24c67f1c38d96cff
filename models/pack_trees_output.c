#include "models/pack_trees_output.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/pack_kind.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/hash.h"
#include "pipeline/config/settings.h"

/* Steps of Simpson's rule along the line; even. What it misses stands in the base. */
#define LINE_STEPS 64u

static bool gives_chance(const struct tree_facts *facts)
{
    return facts->link == TREE_LINK_SIGMOID || facts->link == TREE_LINK_SOFTMAX ||
           facts->link == TREE_LINK_SOFTPLUS || strcmp(facts->objective, "binary:logitraw") == 0;
}

/* The number of the class that `node` names, by `classes` or from 0. */
static enum status find_class(const struct yaml_node *node, const struct yaml_node *classes,
                              uint32_t count, uint32_t *ret_class, struct error *error)
{
    const char *names[TREE_OUTPUTS_MAX];
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, error, "one class expected");
    }
    for (uint32_t i = 0; classes && i < count; i++) {
        names[i] = classes->children[i].scalar;
        if (strcmp(node->scalar, names[i]) == 0) {
            *ret_class = i;
            return STATUS_OK;
        }
    }
    if (classes) {
        const char *near = nearest_name(node->scalar, names, count);
        return yaml_complain(node, error, "\"%.64s\" is not among classes%s%s%s", node->scalar,
                             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    int64_t number;
    enum status status = yaml_integer(node, &number, error);
    if (status == STATUS_OK && (number < 0 || number >= count)) {
        return yaml_complain(node, error, "\"%.64s\": 0 to %u expected", node->scalar, count - 1);
    }
    *ret_class = status == STATUS_OK ? (uint32_t)number : 0;
    return status;
}

static enum status check_classes(const struct yaml_node *classes, uint32_t count,
                                 struct error *error)
{
    if (!classes) {
        return STATUS_OK;
    }
    if (classes->kind != YAML_SEQUENCE || classes->child_count != count) {
        return yaml_complain(classes, error,
                             "the names of the model's %u outputs, in its order, expected", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct yaml_node *name = &classes->children[i];
        if (name->kind != YAML_SCALAR || !*name->scalar) {
            return yaml_complain(name, error, "the name of a class expected");
        }
        for (uint32_t before = 0; before < i; before++) {
            if (strcmp(classes->children[before].scalar, name->scalar) == 0) {
                return yaml_complain(name, error, "class %.64s stands here twice", name->scalar);
            }
        }
    }
    return STATUS_OK;
}

/* The classes' names, or their numbers where the manifest lists none. */
static enum status keep_classes(const struct yaml_node *classes,
                                const struct pack_trees_output *output, struct model_pack *pack,
                                struct error *error)
{
    struct pack_classes *kept = &pack->classes;
    if (output->count < 2) {
        return STATUS_OK;
    }
    kept->names = calloc(output->count, sizeof(*kept->names));
    kept->count = kept->names ? output->count : 0;
    kept->chosen = output->chosen;
    kept->are_disjoint = output->is_softmax;
    for (uint32_t i = 0; i < kept->count; i++) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", i);
        kept->names[i] = strdup(classes ? classes->children[i].scalar : number);
        if (!kept->names[i]) {
            return error_set(error, STATUS_FATAL, "out of memory");
        }
    }
    return kept->names ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
}

static enum status choose_class(const char *file, const struct yaml_node *root,
                                const struct tree_facts *facts, uint32_t *ret_class,
                                struct error *error)
{
    const struct yaml_node *chosen = yaml_find(root, "class");
    const struct yaml_node *classes = yaml_find(root, "classes");
    if (facts->output_count == 1) {
        const struct yaml_node *extra = chosen ? chosen : classes;
        *ret_class = 0;
        return extra ? yaml_complain(extra, error,
                                     "objective %s: the model has one output, there "
                                     "is nothing to choose",
                                     facts->objective)
                     : STATUS_OK;
    }
    if (!chosen) {
        return error_set(error, STATUS_INVALID,
                         "%s: objective %s: %u outputs; class expected in the manifest: the one "
                         "whose %s is the score, by its number from 0, or by its name where "
                         "classes lists them",
                         file, facts->objective, facts->output_count,
                         gives_chance(facts) ? "chance" : "value");
    }
    enum status status = check_classes(classes, facts->output_count, error);
    return status == STATUS_OK ? find_class(chosen, classes, facts->output_count, ret_class, error)
                               : status;
}

static enum pack_output value_of_link(enum tree_link link)
{
    switch (link) {
    case TREE_LINK_EXP:
        return PACK_OUTPUT_EXP;
    case TREE_LINK_STEP:
        return PACK_OUTPUT_STEP;
    case TREE_LINK_SQUARE:
        return PACK_OUTPUT_SQUARE;
    case TREE_LINK_IDENTITY:
    case TREE_LINK_SIGMOID:
    case TREE_LINK_SOFTMAX:
    case TREE_LINK_SOFTPLUS:
    case TREE_LINK_COUNT:
        break;
    }
    return PACK_OUTPUT_VALUE;
}

static enum status read_output(const char *file, const struct yaml_node *root,
                               const struct tree_facts *facts, enum pack_output *ret_output,
                               struct error *error)
{
    const struct yaml_node *node = yaml_find(root, "output");
    const struct yaml_node *calibration = yaml_find(root, "calibration");
    bool is_text = node && node->kind == YAML_SCALAR;
    bool is_value = is_text && strcmp(node->scalar, "value") == 0;
    *ret_output = PACK_OUTPUT_CHANCE;
    if (node && !is_value && !(is_text && strcmp(node->scalar, "chance") == 0)) {
        return yaml_complain(node, error, "\"%.64s\": chance or value expected",
                             is_text ? node->scalar : "");
    }
    if (!is_value) {
        return gives_chance(facts) || !yaml_is_null(calibration)
                   ? STATUS_OK
                   : error_set(error, STATUS_INVALID,
                               "%s: objective %s: it gives no chance; output: value expected in "
                               "the manifest, or a calibration, or an objective such as "
                               "binary:logistic (XGBoost) or binary (LightGBM)",
                               file, facts->objective);
    }
    if (gives_chance(facts)) {
        return yaml_complain(node, error, "objective %s gives a chance: output: chance expected",
                             facts->objective);
    }
    if (!yaml_is_null(calibration)) {
        return yaml_complain(calibration, error,
                             "a calibration makes a chance: output: chance expected beside it");
    }
    *ret_output = value_of_link(facts->link);
    return STATUS_OK;
}

enum status pack_trees_output_read(const char *file, const struct yaml_node *root,
                                   const struct tree_facts *facts, struct model_pack *pack,
                                   struct pack_trees_output *ret_output, struct error *error)
{
    struct pack_trees_output output = {.count = facts->output_count, .scale = 1.0f};
    if (facts->link == TREE_LINK_SOFTMAX && output.count < 2) {
        return error_set(error, STATUS_INVALID, "%s: objective %s: 1 class; 2 or more expected",
                         file, facts->objective);
    }
    enum status status = choose_class(file, root, facts, &output.chosen, error);
    if (status == STATUS_OK) {
        status = read_output(file, root, facts, &pack->output, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    output.is_softmax = facts->link == TREE_LINK_SOFTMAX;
    if (facts->link == TREE_LINK_SIGMOID) {
        output.scale = (float)facts->link_scale;
    }
    if (output.count > 1 || pack->output != PACK_OUTPUT_CHANCE) {
        output.hash = hash64_combine((uint64_t)output.chosen + 1, (uint64_t)pack->output + 1);
    }
    *ret_output = output;
    return keep_classes(yaml_find(root, "classes"), &output, pack, error);
}

/*
 * The log odds of `chosen` by the softmax; in shares[count], unless NULL, what each other class has
 * of what is left, 0 for the chosen one.
 */
static double softmax_odds(const double *margins, uint32_t count, uint32_t chosen, float *shares)
{
    double powers[TREE_OUTPUTS_MAX];
    double largest = -INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        largest = k != chosen && margins[k] > largest ? margins[k] : largest;
    }
    double sum = 0;
    for (uint32_t k = 0; k < count; k++) {
        powers[k] = k != chosen ? fixed_exp(margins[k] - largest) : 0;
        sum += powers[k];
    }
    for (uint32_t k = 0; shares && k < count; k++) {
        shares[k] = (float)(powers[k] / sum);
    }
    return margins[chosen] - (largest + fixed_log(sum));
}

void pack_trees_output_logits(const struct pack_trees_output *output, const float *margins,
                              uint32_t rows, float *logits, float *values)
{
    uint32_t count = output->count;
    for (uint32_t i = 0; i < rows; i++) {
        const float *row = margins + (size_t)i * count;
        float *row_values = values ? values + (size_t)i * count : NULL;
        if (!output->is_softmax) {
            logits[i] = output->scale * row[output->chosen];
            for (uint32_t k = 0; values && k < count; k++) {
                row_values[k] = output->scale * row[k];
            }
            continue;
        }
        double wide[TREE_OUTPUTS_MAX];
        for (uint32_t k = 0; k < count; k++) {
            wide[k] = (double)row[k];
        }
        logits[i] = (float)softmax_odds(wide, count, output->chosen, row_values);
    }
}

/* The others' shares of the softmax without the chosen one, averaged from `bases` to `margins`. */
static void average_shares(const struct pack_trees_output *output, const float *bases,
                           const double *margins, double *weights)
{
    double powers[TREE_OUTPUTS_MAX];
    for (uint32_t k = 0; k < output->count; k++) {
        weights[k] = 0;
    }
    for (uint32_t step = 0; step <= LINE_STEPS; step++) {
        double along = (double)step / LINE_STEPS;
        double simpson = step == 0 || step == LINE_STEPS ? 1 : step % 2 == 1 ? 4 : 2;
        double largest = -INFINITY;
        double sum = 0;
        for (uint32_t k = 0; k < output->count; k++) {
            powers[k] = (double)bases[k] + along * (margins[k] - (double)bases[k]);
            largest = k != output->chosen && powers[k] > largest ? powers[k] : largest;
        }
        for (uint32_t k = 0; k < output->count; k++) {
            powers[k] = k != output->chosen ? fixed_exp(powers[k] - largest) : 0;
            sum += powers[k];
        }
        for (uint32_t k = 0; k < output->count; k++) {
            weights[k] += simpson / (3.0 * LINE_STEPS) * powers[k] / sum;
        }
    }
}

void pack_trees_output_reasons(const struct pack_trees_output *output, uint32_t features,
                               const float *contributions, const float *bases, double *weights,
                               float *terms, float *ret_base)
{
    double margins[TREE_OUTPUTS_MAX];
    assert(output->count <= TREE_OUTPUTS_MAX);
    for (uint32_t k = 0; k < output->count; k++) {
        margins[k] = (double)bases[k];
        for (uint32_t f = 0; f < features; f++) {
            margins[k] += (double)contributions[(size_t)k * features + f];
        }
    }
    if (output->is_softmax) {
        average_shares(output, bases, margins, weights);
    }
    double scale = output->is_softmax ? 1.0 : (double)output->scale;
    double rest = output->is_softmax ? softmax_odds(margins, output->count, output->chosen, NULL)
                                     : scale * margins[output->chosen];
    for (uint32_t f = 0; f < features; f++) {
        double term = scale * (double)contributions[(size_t)output->chosen * features + f];
        for (uint32_t k = 0; output->is_softmax && k < output->count; k++) {
            term -= weights[k] * (double)contributions[(size_t)k * features + f];
        }
        terms[f] = (float)term;
        rest -= (double)terms[f];
    }
    *ret_base = (float)rest;
}
