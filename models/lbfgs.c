#include "models/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY 12
#define STEPS_MAX 40 /* Halvings of one line search. */

struct search {
    const struct lbfgs_problem *problem;
    uint32_t count;
    double *memory; /* Owned: everything below. */
    double *x, *gradient, *pseudo, *direction, *next_x, *next_gradient;
    double *step[HISTORY], *change[HISTORY]; /* Of x and of the gradient. */
    double curvature[HISTORY];               /* 1 / (step . change) */
    uint32_t held;                           /* Pairs in the history. */
    uint32_t newest;
    double value; /* With the L1 part. */
};

static double dot(const double *a, const double *b, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static double l1_of(const struct lbfgs_problem *problem, uint32_t i)
{
    return problem->l1 ? problem->l1[i] : 0.0;
}

static double whole_value(const struct lbfgs_problem *problem, const double *x, double *gradient)
{
    double value = problem->evaluate(problem->context, x, gradient);
    for (uint32_t i = 0; i < problem->count; i++) {
        value += l1_of(problem, i) * fabs(x[i]);
    }
    return value;
}

/* The steepest subgradient: where x is 0, whichever side goes down, or 0. */
static void fill_pseudo_gradient(struct search *search)
{
    for (uint32_t i = 0; i < search->count; i++) {
        double l1 = l1_of(search->problem, i);
        double g = search->gradient[i];
        double x = search->x[i];
        double side = 0;
        if (x > 0 || (x == 0 && g + l1 < 0)) {
            side = l1;
        } else if (x < 0 || (x == 0 && g - l1 > 0)) {
            side = -l1;
        } else if (l1 > 0) {
            side = -g;
        }
        search->pseudo[i] = g + side;
    }
}

/* The two-loop recursion over the history, from the newest pair back and forth again. */
static void fill_direction(struct search *search)
{
    double alpha[HISTORY];
    double *d = search->direction;
    uint32_t n = search->count;
    for (uint32_t i = 0; i < n; i++) {
        d[i] = -search->pseudo[i];
    }
    for (uint32_t k = 0; k < search->held; k++) {
        uint32_t pair = (search->newest + HISTORY - k) % HISTORY;
        alpha[pair] = search->curvature[pair] * dot(search->step[pair], d, n);
        for (uint32_t i = 0; i < n; i++) {
            d[i] -= alpha[pair] * search->change[pair][i];
        }
    }
    if (search->held > 0) {
        const double *y = search->change[search->newest];
        double scale = 1.0 / (search->curvature[search->newest] * dot(y, y, n));
        for (uint32_t i = 0; i < n; i++) {
            d[i] *= scale;
        }
    }
    for (uint32_t k = search->held; k-- > 0;) {
        uint32_t pair = (search->newest + HISTORY - k) % HISTORY;
        double beta = search->curvature[pair] * dot(search->change[pair], d, n);
        for (uint32_t i = 0; i < n; i++) {
            d[i] += (alpha[pair] - beta) * search->step[pair][i];
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        bool disagrees = l1_of(search->problem, i) > 0 && d[i] * search->pseudo[i] >= 0;
        d[i] = disagrees ? 0 : d[i];
    }
}

static void fill_next(struct search *search, double length)
{
    for (uint32_t i = 0; i < search->count; i++) {
        double x = search->x[i];
        double next = x + length * search->direction[i];
        if (l1_of(search->problem, i) > 0) {
            double side = x != 0 ? x : -search->pseudo[i];
            next = next * side > 0 ? next : 0; /* Stays in its orthant. */
        }
        search->next_x[i] = next;
    }
}

/* Halves the step until the value has fallen enough (Armijo); false when it never does. */
static bool take_step(struct search *search, double *ret_value)
{
    double slope = dot(search->pseudo, search->direction, search->count);
    if (!(slope < 0)) {
        return false;
    }
    double norm = sqrt(dot(search->direction, search->direction, search->count));
    double length = search->held == 0 ? 1.0 / (norm > 1 ? norm : 1) : 1.0;
    for (int i = 0; i < STEPS_MAX; i++, length *= 0.5) {
        fill_next(search, length);
        double value = whole_value(search->problem, search->next_x, search->next_gradient);
        double gain = 0;
        for (uint32_t j = 0; j < search->count; j++) {
            gain += search->pseudo[j] * (search->next_x[j] - search->x[j]);
        }
        if (isfinite(value) && value <= search->value + 1e-4 * gain) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static void remember(struct search *search)
{
    uint32_t place = search->held == 0 ? 0 : (search->newest + 1) % HISTORY;
    for (uint32_t i = 0; i < search->count; i++) {
        search->step[place][i] = search->next_x[i] - search->x[i];
        search->change[place][i] = search->next_gradient[i] - search->gradient[i];
    }
    double curved = dot(search->step[place], search->change[place], search->count);
    double size = dot(search->change[place], search->change[place], search->count);
    if (curved > 1e-12 * size) {
        search->curvature[place] = 1.0 / curved;
        search->newest = place;
        search->held += search->held < HISTORY;
    }
    memcpy(search->x, search->next_x, search->count * sizeof(double));
    memcpy(search->gradient, search->next_gradient, search->count * sizeof(double));
}

static enum status search_begin(struct search *search, const double *x, struct error *error)
{
    size_t n = search->count;
    search->memory = calloc((6 + 2 * (size_t)HISTORY) * n + 1, sizeof(double));
    if (!search->memory) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    double *next = search->memory;
    double **const vectors[] = {&search->x,         &search->gradient, &search->pseudo,
                                &search->direction, &search->next_x,   &search->next_gradient};
    for (size_t i = 0; i < 6; i++, next += n) {
        *vectors[i] = next;
    }
    for (size_t i = 0; i < HISTORY; i++, next += 2 * n) {
        search->step[i] = next;
        search->change[i] = next + n;
    }
    memcpy(search->x, x, n * sizeof(double));
    search->value = whole_value(search->problem, search->x, search->gradient);
    return isfinite(search->value)
               ? STATUS_OK
               : error_set(error, STATUS_INVALID, "training: the loss is not finite at the start");
}

static void iterate(struct search *search, struct lbfgs_result *result)
{
    const struct lbfgs_problem *problem = search->problem;
    while (result->iterations < problem->iterations_max) {
        fill_pseudo_gradient(search);
        double gradient_norm = sqrt(dot(search->pseudo, search->pseudo, search->count));
        double x_norm = sqrt(dot(search->x, search->x, search->count));
        if (problem->progress && !problem->progress(problem->context, result->iterations,
                                                    search->value, gradient_norm)) {
            return;
        }
        if (gradient_norm <= problem->tolerance * (x_norm > 1 ? x_norm : 1)) {
            result->has_converged = true;
            return;
        }
        fill_direction(search);
        double value;
        if (!take_step(search, &value)) {
            if (search->held == 0) {
                result->has_converged = true; /* Not even downhill: as low as rounding lets it. */
                return;
            }
            search->held = 0; /* Once more along the gradient. */
            continue;
        }
        remember(search);
        search->value = value;
        result->iterations++;
    }
}

enum status lbfgs_minimise(const struct lbfgs_problem *problem, double *x,
                           struct lbfgs_result *ret_result, struct error *error)
{
    struct search search = {.problem = problem, .count = problem->count};
    enum status status = search_begin(&search, x, error);
    if (status == STATUS_OK) {
        struct lbfgs_result result = {0};
        iterate(&search, &result);
        result.value = search.value;
        memcpy(x, search.x, search.count * sizeof(double));
        *ret_result = result;
    }
    free(search.memory);
    return status;
}
