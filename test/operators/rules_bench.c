/* What 100 rules of five terms cost an event; the aim is at most 1 us. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "operators/expression.h"
#include "test/fuzz/expression_random.h"

#define RULES 100u
#define FEATURES 64u
#define ROUNDS 400u

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Four terms on features, scores and fields that differ from rule to rule, one on a text or type.
 */
static void rule_source(uint32_t rule, char *source, size_t bytes)
{
    static const char *const texts[] = {"type == \"purchase\"", "channel == \"app\"",
                                        "channel in [\"web\", \"app\"]", "brand != \"acme\"",
                                        "type in [\"checkout\", \"purchase\"]"};
    uint32_t a = rule * 7 % FEATURES;
    uint32_t b = rule * 13 % FEATURES;
    uint32_t c = rule * 29 % FEATURES;
    (void)snprintf(source, bytes,
                   "fraud_score > 0.%u and f%u + f%u > %u.5 and f%u < %u and %s and price >= %u",
                   10 + rule % 80, a, b, rule % 9, c, 1 + rule % 17, texts[rule % 5], rule % 50);
}

static void fill(struct event_batch *batch)
{
    struct choices choices = {.state = 11};
    random_batch(batch, BATCH_EVENTS_MAX, &choices);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        for (uint32_t k = 0; k < FEATURES; k++) {
            batch->features[row * batch->feature_stride + k] = (float)choose(&choices, 20);
        }
    }
}

int main(void)
{
    struct feature_info features[FEATURES];
    char names[FEATURES][8];
    for (uint32_t k = 0; k < FEATURES; k++) {
        (void)snprintf(names[k], sizeof(names[k]), "f%u", k);
        features[k] = (struct feature_info){names[k], "user", "1", "A feature.", "never"};
    }
    const struct feature_set set = {features, FEATURES, 1};
    struct expression_program *program = NULL;
    struct expression_columns *columns = NULL;
    struct error error = {""};
    struct event_batch batch;
    bool failed = event_batch_init(&batch, FEATURES, &error) != STATUS_OK ||
                  expression_program_create(&set, NULL, &program, &error) != STATUS_OK;
    for (uint32_t rule = 0; !failed && rule < RULES; rule++) {
        char source[512];
        struct expression expression;
        uint32_t output = 0;
        rule_source(rule, source, sizeof(source));
        failed = expression_compile(program, text_of(source), 1u << EXPRESSION_BOOLEAN, &expression,
                                    &error) != STATUS_OK ||
                 expression_program_output(program, &expression, &output, &error) != STATUS_OK;
    }
    if (failed || expression_program_finish(program, &error) != STATUS_OK ||
        expression_columns_create(program, &columns, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return EXIT_FAILURE;
    }
    fill(&batch);

    uint64_t matches = 0;
    double best = 1e9;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t first = 0; first < batch.row_count; first += EXPRESSION_LANES) {
            uint64_t outputs[RULES];
            expression_columns_run(columns, &batch, first, EXPRESSION_LANES, outputs, &batch.arena);
            for (uint32_t rule = 0; rule < RULES; rule++) {
                matches += (uint64_t)__builtin_popcountll(outputs[rule]);
            }
        }
        double elapsed = seconds() - start;
        best = elapsed < best ? elapsed : best;
    }
    double ns = best * 1e9 / batch.row_count;
    (void)printf("%u rules of 5 terms, %u steps: %.0f ns an event, %.2f ns a term, "
                 "%.2f matches an event\n",
                 RULES, expression_program_steps(program), ns, ns / (RULES * 5),
                 (double)matches / ROUNDS / batch.row_count);
    expression_columns_destroy(columns);
    expression_program_destroy(program);
    event_batch_release(&batch);
    return EXIT_SUCCESS;
}
