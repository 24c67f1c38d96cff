#include "operators/score_anomaly.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "models/half_space_trees.h"
#include "models/robust_ewma.h"
#include "models/stream_forest.h"
#include "operators/anomaly_inputs.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/hash.h"
#include "pipeline/limits.h"

/* Where a score of one half lies: a surprise that a history as long brings by chance once in e^8,
 * if its parts were independent; a place that is 64 times emptier than evenly filled. */
#define SURPRISE_AT_HALF 8.0f
#define EMPTINESS_AT_HALF 6.0f

static const char *const detector_names[] = {"none", "robust_ewma", "isolation_forest",
                                             "half_space_trees", NULL};
static_assert((int)EWMA_PART_COUNT <= (int)ANOMALY_INPUTS_MAX, "parts find room");
static const char *const part_names[EWMA_PART_COUNT] = {[EWMA_JUMP] = "jump from the latest values",
                                                        [EWMA_HEIGHT] =
                                                            "distance from the long-run level",
                                                        [EWMA_SHIFT] = "shift of the level"};

#define OPTION(member) offsetof(struct score_anomaly_options, member)
#define WHOLE(setting, member, otherwise, least, most, text)                                       \
    {                                                                                              \
        .name = (setting), .type = SETTING_INTEGER, .offset = OPTION(member),                      \
        .fallback = (otherwise), .min = (least), .max = (most), .doc = (text)                      \
    }
static const struct setting settings[] = {
    {.name = "detector",
     .type = SETTING_CHOICE,
     .offset = OPTION(detector),
     .fallback = "none",
     .choices = detector_names,
     .doc = "robust_ewma: one input as a series, against the user's own past; isolation_forest and "
            "half_space_trees: all inputs as a point, against all events of the partition"},
    {.name = "inputs",
     .type = SETTING_LIST,
     .offset = OPTION(inputs),
     .doc = "What is looked at: price, quantity, stock, attributes.NAME, or a feature's name"},
    WHOLE("hold", hold, "100", 0, 1e6,
          "robust_ewma: so many events after a score, only a higher one is given: one alert for "
          "one incident"),
    WHOLE("trees", trees, "0", 0, 1000, "Number of trees; 0: 100, of half_space_trees 25"),
    WHOLE("sample", sample, "512", 2, 4096, "isolation_forest: rows that a tree is built of"),
    WHOLE("reservoir", reservoir, "1024", 256, 4096,
          "isolation_forest: rows that stand for all so far"),
    WHOLE("depth", depth, "8", 1, 12, "half_space_trees: cuts one below the other"),
    WHOLE("window", window, "250", 10, 32768, "half_space_trees: events that are learnt at a time"),
    WHOLE("seed", seed, "1", 0, 9e15, "Of the trees and of the choice of rows"),
};

const struct setting_section score_anomaly_section = {
    .name = "score_anomaly",
    .doc = "How unusual an event is, without labels",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct score_anomaly_options),
};

const struct stage_info score_anomaly_info = {
    .name = "score_anomaly",
    .doc = "Scores how unusual an event is against what came before it, without labels; only where "
           "a detector is chosen.",
    .reads = "order, state, kind, record, features, price, quantity, stock, attributes",
    .writes = "score, score_logit and explainer of anomaly",
};

struct score_anomaly {
    struct stage stage;
    enum anomaly_detector detector;
    struct anomaly_inputs inputs;
    uint32_t offset; /* Of the part, in the user's record or the task's. */
    struct robust_ewma_options ewma;
    struct stream_forest *forest;        /* Owned, or NULL. */
    struct half_space_trees *half_space; /* Owned, or NULL. */
    char version[64];

    /* What the reasons of the batch's rows need. */
    uint8_t forests[BATCH_ROWS_MAX];
    float parts[BATCH_ROWS_MAX][ANOMALY_INPUTS_MAX]; /* By part of a series, or by input. */
};

static uint32_t trees_of(const struct score_anomaly_options *options)
{
    if (options->trees > 0) {
        return (uint32_t)options->trees;
    }
    return options->detector == ANOMALY_HALF_SPACE_TREES ? 25 : 100;
}

uint64_t score_anomaly_hash(const struct score_anomaly_options *options)
{
    if (options->detector == ANOMALY_NONE) {
        return 0;
    }
    const int64_t words[] = {options->detector,  options->hold,  trees_of(options), options->sample,
                             options->reservoir, options->depth, options->window,   options->seed};
    uint64_t hash = hash64((struct text){(const char *)words, sizeof(words)});
    for (size_t i = 0; i < options->inputs.count; i++) {
        hash = hash64_combine(hash, hash64(text_of(options->inputs.items[i])));
    }
    return hash;
}

static void set_logit(struct event_batch *batch, uint32_t row, float logit)
{
    batch->score_logit[SCORE_ANOMALY][row] = logit;
    batch->score[SCORE_ANOMALY][row] = isnan(logit) ? NAN : fixed_sigmoidf(logit);
}

static enum status score_row(struct score_anomaly *self, struct event_batch *batch, uint32_t row,
                             struct error *error)
{
    float values[ANOMALY_INPUTS_MAX];
    float logit = NAN;
    enum status status = STATUS_OK;
    anomaly_inputs_read(&self->inputs, batch, row, values);
    if (self->detector == ANOMALY_ROBUST_EWMA) {
        struct robust_ewma *series = record_part_at(batch->record[ENTITY_USER][row], self->offset);
        logit = robust_ewma_observe(series, &self->ewma, values[0], self->parts[row]) -
                SURPRISE_AT_HALF;
    } else if (anomaly_inputs_have_any(&self->inputs, values)) {
        void *state = record_part_at(batch->record[ENTITY_TASK][0], self->offset);
        if (self->forest) {
            status = stream_forest_observe(self->forest, state, values, &logit, &self->forests[row],
                                           error);
        } else {
            logit = half_space_observe(self->half_space, state, values, self->parts[row]) -
                    EMPTINESS_AT_HALF;
        }
    }
    set_logit(batch, row, logit);
    return status;
}

static uint32_t explain_series(const struct score_anomaly *self, const struct event_batch *batch,
                               uint32_t row, struct contribution *terms, uint32_t max)
{
    float value;
    float rest = batch->score_logit[SCORE_ANOMALY][row];
    uint32_t count = 0;
    anomaly_inputs_read(&self->inputs, batch, row, &value);
    for (int part = 0; part < EWMA_PART_COUNT; part++) {
        rest -= self->parts[row][part];
    }
    if (max > 0) {
        terms[count++] = (struct contribution){.name = "intercept", .value = 1, .logit = rest};
    }
    for (int part = 0; part < EWMA_PART_COUNT && count < max; part++) {
        terms[count++] = (struct contribution){
            .name = part_names[part], .value = value, .logit = self->parts[row][part]};
    }
    return count;
}

static uint32_t explain_point(const struct score_anomaly *self, const struct event_batch *batch,
                              uint32_t row, struct contribution *terms, uint32_t max)
{
    float values[ANOMALY_INPUTS_MAX], of_forest[ANOMALY_INPUTS_MAX];
    const float *logits = self->parts[row];
    float base = -EMPTINESS_AT_HALF;
    uint32_t count = 0;
    anomaly_inputs_read(&self->inputs, batch, row, values);
    if (self->forest) {
        base = stream_forest_explain(self->forest, self->forests[row], values, of_forest);
        logits = of_forest;
    }
    if (max > 0) {
        terms[count++] = (struct contribution){.name = "intercept", .value = 1, .logit = base};
    }
    for (uint32_t i = 0; i < self->inputs.count && count < max; i++) {
        terms[count++] = (struct contribution){
            .name = self->inputs.inputs[i].name, .value = values[i], .logit = logits[i]};
    }
    return count;
}

static uint32_t explain(void *context, const struct event_batch *batch, uint32_t row,
                        struct contribution *terms, uint32_t max)
{
    const struct score_anomaly *self = context;
    return self->detector == ANOMALY_ROBUST_EWMA ? explain_series(self, batch, row, terms, max)
                                                 : explain_point(self, batch, row, terms, max);
}

static enum status score_anomaly_process(struct stage *stage, struct event_batch *batch,
                                         struct error *error)
{
    struct score_anomaly *self = container_of(stage, struct score_anomaly, stage);
    enum status status = STATUS_OK;
    if (self->detector == ANOMALY_NONE) {
        return STATUS_OK; /* The columns are NaN from the start. */
    }
    if (self->forest) {
        const void *state = record_part_at(batch->record[ENTITY_TASK][0], self->offset);
        status = stream_forest_begin(self->forest, state, error);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] == ROW_LIVE && batch->kind[row] == ROW_EVENT) {
            status = score_row(self, batch, row, error);
        } else {
            set_logit(batch, row, NAN);
        }
    }
    batch->explainer[SCORE_ANOMALY] =
        (struct score_explainer){.explain = explain, .context = self, .version = self->version};
    return status;
}

static void score_anomaly_destroy(struct stage *stage)
{
    struct score_anomaly *self = container_of(stage, struct score_anomaly, stage);
    stream_forest_destroy(self->forest);
    half_space_destroy(self->half_space);
    anomaly_inputs_release(&self->inputs);
    free(self);
}

static const struct stage_ops score_anomaly_ops = {
    .info = &score_anomaly_info,
    .process = score_anomaly_process,
    .destroy = score_anomaly_destroy,
};

static enum status create_detector(struct score_anomaly *self,
                                   const struct score_anomaly_options *options, size_t *ret_bytes,
                                   struct error *error)
{
    if (self->detector == ANOMALY_ROBUST_EWMA) {
        self->ewma.hold = (uint32_t)options->hold;
        *ret_bytes = sizeof(struct robust_ewma);
        return STATUS_OK;
    }
    if (self->detector == ANOMALY_ISOLATION_FOREST) {
        const struct stream_forest_options made = {
            .forest = {.trees = trees_of(options),
                       .sample = (uint32_t)options->sample,
                       .seed = (uint64_t)options->seed},
            .reservoir = (uint32_t)options->reservoir,
            .feature_count = self->inputs.count,
        };
        *ret_bytes = stream_forest_state_bytes(&made);
        return stream_forest_create(&made, &self->forest, error);
    }
    const struct half_space_options made = {
        .trees =
            trees_of(options) < HALF_SPACE_TREES_MAX ? trees_of(options) : HALF_SPACE_TREES_MAX,
        .depth = (uint32_t)options->depth,
        .window = (uint32_t)options->window,
        .feature_count = self->inputs.count,
        .seed = (uint64_t)options->seed,
    };
    *ret_bytes = half_space_state_bytes(&made);
    return half_space_create(&made, &self->half_space, error);
}

static enum status add_part(struct score_anomaly *self, const struct score_anomaly_options *options,
                            size_t bytes, struct record_layout *layout, struct error *error)
{
    bool is_series = self->detector == ANOMALY_ROBUST_EWMA;
    if (bytes > TASK_BYTES_MAX) {
        return error_set(error, STATUS_INVALID,
                         "%s of this size keeps %zu bytes; at most %u: fewer trees, a smaller "
                         "depth or reservoir, or fewer inputs",
                         detector_names[self->detector], bytes, TASK_BYTES_MAX);
    }
    const struct record_part part = {
        .name = "anomaly",
        .id = PART_ANOMALY,
        .version = 1,
        .kind = is_series ? ENTITY_USER : ENTITY_TASK,
        .is_model = is_series,
        .bytes = (uint32_t)bytes,
        .writer_hash = score_anomaly_hash(options),
    };
    return record_layout_add(layout, &part, &self->offset, error);
}

enum status score_anomaly_create(const struct score_anomaly_options *options,
                                 const struct feature_set *set, struct record_layout *layout,
                                 struct stage **ret_stage, struct error *error)
{
    struct score_anomaly *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "score_anomaly: out of memory");
    }
    self->stage.ops = &score_anomaly_ops;
    self->detector = (enum anomaly_detector)options->detector;
    if (self->detector == ANOMALY_NONE) {
        *ret_stage = &self->stage;
        return STATUS_OK;
    }
    (void)snprintf(self->version, sizeof(self->version), "%s %08llx",
                   detector_names[options->detector],
                   (unsigned long long)(score_anomaly_hash(options) >> 32));
    size_t bytes = 0;
    uint32_t most = self->detector == ANOMALY_ROBUST_EWMA ? 1 : ANOMALY_INPUTS_MAX;
    enum status status = anomaly_inputs_init(&self->inputs, &options->inputs, most, set, error);
    if (status == STATUS_OK) {
        status = create_detector(self, options, &bytes, error);
    }
    if (status == STATUS_OK) {
        status = add_part(self, options, bytes, layout, error);
    }
    if (status != STATUS_OK) {
        score_anomaly_destroy(&self->stage);
        return error_prefix(error, status, "score_anomaly");
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}
