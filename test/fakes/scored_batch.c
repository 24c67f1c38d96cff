#include "test/fakes/scored_batch.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "models/pack_writer.h"
#include "operators/extract_features.h"
#include "test/fakes/stage_fixture.h"

static float unit(uint64_t *state)
{
    return (float)(fixture_random(state) >> 40) * 0x1p-24f;
}

static float random_feature(uint64_t *state)
{
    float kind = unit(state);
    if (kind < 0.1f) {
        return NAN;
    }
    return kind < 0.2f ? 100000 * unit(state) : 5 * unit(state) - 0.5f;
}

void scored_batch_make(struct event_batch *batch, uint32_t rows, uint64_t seed)
{
    struct error error;
    enum status status = event_batch_init(batch, extract_features_set()->count, &error);
    assert(status == STATUS_OK);
    batch->row_count = rows;
    batch->event_count = rows;
    for (uint32_t row = 0; row < rows; row++) {
        batch->order[row] = row;
        batch->kind[row] = ROW_EVENT;
        batch->type[row] = EVENT_PRODUCT_VIEW;
        batch->state[row] = unit(&seed) < 0.1f ? ROW_DUPLICATE : ROW_LIVE;
        for (uint32_t i = 0; i < batch->feature_count; i++) {
            batch->features[(size_t)row * batch->feature_stride + i] = random_feature(&seed);
        }
    }
}

void scored_batch_copy_row(const struct event_batch *source, uint32_t from,
                           struct event_batch *target, uint32_t to)
{
    target->state[to] = source->state[from];
    memcpy(target->features + (size_t)to * target->feature_stride,
           source->features + (size_t)from * source->feature_stride,
           source->feature_count * sizeof(float));
}

void scored_batch_write_pack(const char *directory, uint64_t seed, const char *extra)
{
    static struct pack_feature features[FEATURES_MAX + 1];
    static float weights[FEATURES_MAX + 1];
    static float missing[FEATURES_MAX + 1];
    static float p99[FEATURES_MAX + 1];
    static float p999[FEATURES_MAX + 1];
    const struct feature_set *set = extract_features_set();
    uint32_t count = set->count + (extra != NULL);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = i < set->count ? set->features[i].name : extra;
        features[i] = (struct pack_feature){
            .name = (char *)(uintptr_t)name,
            .transform = i % 3 == 0 ? TRANSFORM_OCTAVES : TRANSFORM_NONE,
            .mean = unit(&seed),
            .scale = 0.5f + unit(&seed),
            .limit = 5,
        };
        weights[i] = 0.5f * unit(&seed) - 0.25f;
        missing[i] = 0.5f * unit(&seed) - 0.25f;
        p99[i] = 10;
        p999[i] = 20;
    }
    struct logistic_fit fit = {.feature_count = count,
                               .features = features,
                               .weights = weights,
                               .missing = missing,
                               .bias = -1,
                               .calibration = {.slope = 1.1f, .offset = 0.2f},
                               .threshold = 0.5f};
    struct pack_quantiles quantiles = {p99, p99, p999};
    struct pack_text text = {.name = "random", .version = "1", .training = ""};
    struct error error;
    enum status status = pack_write(directory, &text, &fit, &quantiles, &error);
    assert(status == STATUS_OK);
}

float scored_batch_explain_error(const struct event_batch *batch, enum score_kind kind)
{
    const struct score_explainer *explainer = &batch->explainer[kind];
    struct contribution terms[2 * FEATURES_MAX];
    float worst = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (isnan(batch->score_logit[kind][row])) {
            continue;
        }
        uint32_t count =
            explainer->explain(explainer->context, batch, row, terms, 2 * FEATURES_MAX);
        double sum = 0;
        for (uint32_t i = 0; i < count; i++) {
            sum += (double)terms[i].logit;
        }
        float distance = fabsf((float)sum - batch->score_logit[kind][row]);
        worst = distance > worst ? distance : worst;
    }
    return worst;
}
