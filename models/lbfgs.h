/*
 * Minimises a smooth convex function plus l1 times the absolute values, by L-BFGS (Nocedal 1980;
 * Liu, Nocedal 1989) in its orthant-wise form (Andrew, Gao: "Scalable training of L1-regularized
 * log-linear models", 2007). Double precision throughout, a fixed order of arithmetic: the same
 * function gives the same bits.
 */
#ifndef MODELS_LBFGS_H
#define MODELS_LBFGS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"

struct lbfgs_problem {
    uint32_t count; /* Of parameters. */
    /* The smooth part's value at `x`; its gradient to `gradient`. */
    double (*evaluate)(void *context, const double *x, double *gradient);
    /* Told after each iteration; may be NULL. False stops there, without failure. */
    bool (*progress)(void *context, uint32_t iteration, double value, double gradient_norm);
    void *context;
    const double *l1; /* [count] factors of the absolute values; NULL: all 0. */
    uint32_t iterations_max;
    double tolerance; /* Stops when the gradient's norm is below it times max(1, norm of x). */
};

struct lbfgs_result {
    double value;
    uint32_t iterations;
    bool has_converged;
};

/*
 * Starts at `x` and leaves the minimum there. STATUS_FATAL when memory is exhausted,
 * STATUS_INVALID when the function is not finite at the start.
 */
MUST_CHECK enum status lbfgs_minimise(const struct lbfgs_problem *problem, double *x,
                                      struct lbfgs_result *ret_result, struct error *error);

#endif
