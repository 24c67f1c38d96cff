#include "operators/feature_funnel.h"

#include <assert.h>
#include <stdlib.h>

#include "pipeline/base/fixed_math.h"

static_assert(EVENT_TYPE_COUNT <= MARKOV_STATES_MAX, "a state for each type");

#define SURPRISE_MAX 20.0
#define LEAVE_MIN 1e-6
#define SUM_TOLERANCE 1e-6

/* Weights in thousandths; steps that are not named weigh 1 each, and a row is made to sum to 1. */
struct named_step {
    uint8_t from, to;
    uint16_t weight;
};

#define STEP(from, to, weight)                                                                     \
    {                                                                                              \
        EVENT_##from, EVENT_##to, weight                                                           \
    }
static const struct named_step named_steps[] = {
    STEP(PAGE_VIEW, PAGE_VIEW, 300),
    STEP(PAGE_VIEW, PRODUCT_VIEW, 250),
    STEP(PAGE_VIEW, SEARCH, 100),
    STEP(PAGE_VIEW, ADD_TO_CART, 20),
    STEP(PAGE_VIEW, CHECKOUT, 15),
    STEP(PAGE_VIEW, LOGIN, 20),
    STEP(PRODUCT_VIEW, PRODUCT_VIEW, 540),
    STEP(PRODUCT_VIEW, PAGE_VIEW, 80),
    STEP(PRODUCT_VIEW, SEARCH, 60),
    STEP(PRODUCT_VIEW, ADD_TO_CART, 60),
    STEP(PRODUCT_VIEW, PURCHASE, 10),
    STEP(IMPRESSION, IMPRESSION, 300),
    STEP(IMPRESSION, PRODUCT_VIEW, 250),
    STEP(IMPRESSION, PAGE_VIEW, 100),
    STEP(IMPRESSION, SEARCH, 80),
    STEP(SEARCH, PRODUCT_VIEW, 450),
    STEP(SEARCH, SEARCH, 200),
    STEP(SEARCH, PAGE_VIEW, 80),
    STEP(SEARCH, ADD_TO_CART, 20),
    STEP(ADD_TO_CART, PRODUCT_VIEW, 350),
    STEP(ADD_TO_CART, ADD_TO_CART, 130),
    STEP(ADD_TO_CART, CHECKOUT, 150),
    STEP(ADD_TO_CART, PURCHASE, 120),
    STEP(ADD_TO_CART, PAGE_VIEW, 60),
    STEP(ADD_TO_CART, REMOVE_FROM_CART, 40),
    STEP(ADD_TO_CART, SEARCH, 40),
    STEP(REMOVE_FROM_CART, PRODUCT_VIEW, 350),
    STEP(REMOVE_FROM_CART, ADD_TO_CART, 150),
    STEP(REMOVE_FROM_CART, REMOVE_FROM_CART, 150),
    STEP(REMOVE_FROM_CART, CHECKOUT, 80),
    STEP(REMOVE_FROM_CART, PURCHASE, 30),
    STEP(REMOVE_FROM_CART, PAGE_VIEW, 80),
    STEP(CHECKOUT, PURCHASE, 420),
    STEP(CHECKOUT, CHECKOUT, 200),
    STEP(CHECKOUT, PAYMENT_FAILED, 60),
    STEP(CHECKOUT, PRODUCT_VIEW, 50),
    STEP(CHECKOUT, PAGE_VIEW, 40),
    STEP(PURCHASE, PRODUCT_VIEW, 200),
    STEP(PURCHASE, PURCHASE, 150),
    STEP(PURCHASE, PAGE_VIEW, 150),
    STEP(PAYMENT_FAILED, PURCHASE, 300),
    STEP(PAYMENT_FAILED, PAYMENT_FAILED, 250),
    STEP(PAYMENT_FAILED, CHECKOUT, 200),
    STEP(REFUND, PAGE_VIEW, 200),
    STEP(LOGIN, PAGE_VIEW, 300),
    STEP(LOGIN, PRODUCT_VIEW, 300),
    STEP(LOGIN, SEARCH, 100),
    STEP(LOGIN, CHECKOUT, 60),
    STEP(LOGIN_FAILED, LOGIN, 350),
    STEP(LOGIN_FAILED, LOGIN_FAILED, 350),
    STEP(REVIEW, PAGE_VIEW, 250),
    STEP(REVIEW, PRODUCT_VIEW, 250),
    STEP(MESSAGE, PAGE_VIEW, 250),
    STEP(MESSAGE, PRODUCT_VIEW, 250),
    STEP(PROMOTION_SHOWN, PRODUCT_VIEW, 350),
    STEP(PROMOTION_SHOWN, PAGE_VIEW, 200),
    STEP(PROMOTION_SHOWN, PROMOTION_ACCEPTED, 60),
    STEP(PROMOTION_SHOWN, ADD_TO_CART, 40),
    STEP(PROMOTION_SHOWN, CHECKOUT, 40),
    STEP(PROMOTION_ACCEPTED, PRODUCT_VIEW, 300),
    STEP(PROMOTION_ACCEPTED, CHECKOUT, 200),
    STEP(PROMOTION_ACCEPTED, ADD_TO_CART, 150),
    STEP(PROMOTION_ACCEPTED, PURCHASE, 80),
    STEP(OTHER, OTHER, 300),
    STEP(OTHER, PAGE_VIEW, 200),
    STEP(OTHER, PRODUCT_VIEW, 150),
};

static double default_leave(uint32_t type)
{
    switch (type) {
    case EVENT_PURCHASE:
        return 450;
    case EVENT_REFUND:
        return 600;
    case EVENT_ADD_TO_CART:
    case EVENT_LOGIN:
        return 110;
    default:
        return 220;
    }
}

void funnel_default_markov(struct markov *ret_markov)
{
    *ret_markov = (struct markov){.state_count = EVENT_TYPE_COUNT};
    for (uint32_t from = 0; from < EVENT_TYPE_COUNT; from++) {
        for (uint32_t to = 0; to < EVENT_TYPE_COUNT; to++) {
            ret_markov->step[from][to] = 1;
        }
        ret_markov->leave[from] = default_leave(from);
    }
    for (size_t i = 0; i < sizeof(named_steps) / sizeof(named_steps[0]); i++) {
        ret_markov->step[named_steps[i].from][named_steps[i].to] = named_steps[i].weight;
    }
    for (uint32_t from = 0; from < EVENT_TYPE_COUNT; from++) {
        double sum = ret_markov->leave[from];
        for (uint32_t to = 0; to < EVENT_TYPE_COUNT; to++) {
            sum += ret_markov->step[from][to];
        }
        for (uint32_t to = 0; to < EVENT_TYPE_COUNT; to++) {
            ret_markov->step[from][to] /= sum;
        }
        ret_markov->leave[from] /= sum;
    }
}

/* The newest event of a row. */
static uint32_t last_of(const struct markov *markov, uint32_t row)
{
    return row < markov->state_count ? row
                                     : markov->contexts[row - markov->state_count].last[0] - 1u;
}

static enum status check(const struct markov *markov, struct error *error)
{
    if (markov->state_count != EVENT_TYPE_COUNT) {
        return error_set(error, STATUS_INVALID,
                         "Markov table: %u states, %d types of event expected", markov->state_count,
                         EVENT_TYPE_COUNT);
    }
    for (uint32_t from = 0; from < markov->state_count + markov->context_count; from++) {
        double sum = markov->leave[from];
        bool is_right = markov->leave[from] >= LEAVE_MIN;
        for (uint32_t to = 0; to < EVENT_TYPE_COUNT; to++) {
            is_right = is_right && markov->step[from][to] >= 0.0;
            sum += markov->step[from][to];
        }
        if (!is_right || !(sum > 1.0 - SUM_TOLERANCE && sum < 1.0 + SUM_TOLERANCE)) {
            return error_set(error, STATUS_INVALID,
                             "Markov table: chances from state %s sum to %.9g, leaving %.3g; no "
                             "chance below 0, a sum of 1 and at least %.0e to leave expected",
                             event_types[last_of(markov, from)].name, sum, markov->leave[from],
                             LEAVE_MIN);
        }
    }
    return STATUS_OK;
}

/*
 * buy[i] = step[i][purchase] + sum over j that is no purchase of step[i][j] * buy[row after j],
 * solved by elimination; each row sums to less than 1, so no pivot can come near 0. `a` is scratch
 * [rows][rows], all 0.
 */
static void solve_buy(const struct markov *markov, const struct markov_index *index, uint32_t rows,
                      double *a, double *buy)
{
    for (uint32_t i = 0; i < rows; i++) {
        a[(size_t)i * rows + i] = 1.0;
        for (uint32_t type = 0; type < EVENT_TYPE_COUNT; type++) {
            uint32_t next = markov_next_row(markov, index, i, type);
            a[(size_t)i * rows + next] -= type == EVENT_PURCHASE ? 0.0 : markov->step[i][type];
        }
        buy[i] = markov->step[i][EVENT_PURCHASE];
    }
    for (uint32_t pivot = 0; pivot < rows; pivot++) {
        const double *above = a + (size_t)pivot * rows;
        for (uint32_t i = 0; i < rows; i++) {
            double *row = a + (size_t)i * rows;
            double factor = i == pivot ? 0.0 : row[pivot] / above[pivot];
            for (uint32_t j = pivot; factor != 0 && j < rows; j++) {
                row[j] -= factor * above[j];
            }
            buy[i] -= factor * buy[pivot];
        }
    }
    for (uint32_t i = 0; i < rows; i++) {
        buy[i] /= a[(size_t)i * rows + i];
    }
}

enum status funnel_table_init(struct funnel_table *table, const struct markov *markov,
                              struct error *error)
{
    enum status status = check(markov, error);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t rows = markov->state_count + markov->context_count;
    double buy[MARKOV_ROWS_MAX];
    assert(rows > 0 && rows <= MARKOV_ROWS_MAX);
    double *scratch = calloc((size_t)rows * rows, sizeof(*scratch));
    if (!scratch) {
        return error_set(error, STATUS_FATAL, "Markov table: out of memory");
    }
    markov_index_make(markov, &table->index);
    solve_buy(markov, &table->index, rows, scratch, buy);
    free(scratch);
    for (uint32_t from = 0; from < rows; from++) {
        table->buy[from] = (float)buy[from];
        table->leave[from] = (float)markov->leave[from];
        for (int to = 0; to < EVENT_TYPE_COUNT; to++) {
            double surprise = -fixed_log(markov->step[from][to]);
            table->surprise[from][to] = (float)(surprise < SURPRISE_MAX ? surprise : SURPRISE_MAX);
        }
    }
    return STATUS_OK;
}

/* The row of the Markov table where the session stands; it has had a forward event. */
static uint32_t row_of(const struct user_session *session, const struct funnel_table *table)
{
    return table->index
        .triple[session->last_type][session->earlier_types[0]][session->earlier_types[1]];
}

static uint8_t stage_of(enum event_type type)
{
    switch (type) {
    case EVENT_PURCHASE:
        return 4;
    case EVENT_CHECKOUT:
        return 3;
    case EVENT_ADD_TO_CART:
        return 2;
    case EVENT_PRODUCT_VIEW:
    case EVENT_IMPRESSION:
    case EVENT_SEARCH:
        return 1;
    default:
        return 0;
    }
}

void funnel_observe(struct user_session *session, const struct funnel_table *table,
                    const struct feature_event *event, float *row)
{
    uint8_t stage = stage_of(event->type);
    session->stage = stage > session->stage ? stage : session->stage;
    if (!event->is_forward) {
        return;
    }
    if (session->last_type > 0) {
        float surprise = table->surprise[row_of(session, table)][event->type];
        row[FEATURE_FUNNEL_SURPRISE] = surprise;
        session->surprise_sum += surprise;
        feature_count16(&session->transitions);
    }
    session->earlier_types[1] = session->earlier_types[0];
    session->earlier_types[0] = session->last_type;
    session->last_type = (uint8_t)(event->type + 1);
}

void funnel_write(const struct user_session *session, const struct funnel_table *table, float *row)
{
    if (session->events == 0) {
        return;
    }
    row[FEATURE_FUNNEL_STAGE] = (float)session->stage;
    if (session->last_type > 0) {
        row[FEATURE_FUNNEL_BUY] = table->buy[row_of(session, table)];
        row[FEATURE_FUNNEL_LEAVE] = table->leave[row_of(session, table)];
    }
    row[FEATURE_FUNNEL_SURPRISE_MEAN] =
        feature_ratio((double)session->surprise_sum, session->transitions);
}
