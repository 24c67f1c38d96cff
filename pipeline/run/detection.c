#include "pipeline/run/detection.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/json_text.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/run/runner.h"

static const double rates[DETECTION_RATES] = {0.001, 0.01};

struct visit_score {
    float highest; /* Logit. */
    uint32_t events;
    uint8_t kind;
    bool is_bot, is_fraud;
};

struct detector {
    struct stage stage;
    const struct truth_file *truth;
    struct key_map numbers;
    struct visit_score *visits; /* [capacity] */
    uint32_t capacity;
    float threshold[DETECTION_RATES]; /* Second pass: logits. */
    bool is_second;
    uint32_t *events_until[DETECTION_RATES]; /* Second pass: [visits]; 0: not above. */
};

static struct visit_score *find_visit(struct detector *self, const struct truth *truth,
                                      uint32_t *ret_number)
{
    uint32_t number = key_map_add(&self->numbers, truth->visit);
    if (number == KEY_MAP_NONE) {
        return NULL;
    }
    if (number >= self->capacity) {
        uint32_t capacity = self->capacity ? self->capacity * 2 : 4096;
        struct visit_score *larger = realloc(self->visits, (size_t)capacity * sizeof(*larger));
        if (!larger) {
            return NULL;
        }
        memset(larger + self->capacity, 0, (capacity - self->capacity) * sizeof(*larger));
        self->visits = larger;
        self->capacity = capacity;
    }
    struct visit_score *visit = &self->visits[number];
    if (visit->events == 0 && !self->is_second) {
        *visit = (struct visit_score){.highest = -INFINITY,
                                      .kind = truth->kind,
                                      .is_bot = truth->is_bot,
                                      .is_fraud = truth->is_fraud};
    }
    *ret_number = number;
    return visit;
}

static enum status look_at_row(struct detector *self, const struct event_batch *batch, uint32_t row,
                               struct error *error)
{
    struct truth truth;
    if (batch->type[row] == EVENT_LABEL || !event_has(batch, row, FIELD_EVENT_ID) ||
        !truth_file_find(self->truth, batch->text[FIELD_EVENT_ID][row], &truth)) {
        return STATUS_OK;
    }
    uint32_t number;
    struct visit_score *visit = find_visit(self, &truth, &number);
    if (!visit) {
        return error_set(error, STATUS_FATAL, "detection: out of memory");
    }
    float logit = batch->score_logit[SCORE_FRAUD][row];
    visit->events++;
    if (!self->is_second) {
        visit->highest = logit > visit->highest ? logit : visit->highest;
        return STATUS_OK;
    }
    for (int i = 0; i < DETECTION_RATES; i++) {
        if (logit > self->threshold[i] && self->events_until[i][number] == 0) {
            self->events_until[i][number] = visit->events;
        }
    }
    return STATUS_OK;
}

static enum status detect(struct stage *stage, struct event_batch *batch, struct error *error)
{
    struct detector *self = container_of(stage, struct detector, stage);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] == ROW_LIVE && batch->kind[row] == ROW_EVENT) {
            status = look_at_row(self, batch, row, error);
        }
    }
    return status;
}

static void destroy_nothing(struct stage *stage)
{
    (void)stage;
}

static const struct stage_info detector_info = {.name = "detection", .doc = "Measures scores"};
static const struct stage_ops detector_ops = {
    .info = &detector_info, .process = detect, .destroy = destroy_nothing};

static int compare_falling(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x > y ? -1 : x < y;
}

static int compare_counts(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The score of the first human visit that is one too many. */
static enum status set_thresholds(struct detector *self, struct detection *detection,
                                  struct error *error)
{
    float *scores = calloc((size_t)self->numbers.count + 1, sizeof(*scores));
    if (!scores) {
        return error_set(error, STATUS_FATAL, "detection: out of memory");
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->numbers.count; i++) {
        if (!self->visits[i].is_bot && !self->visits[i].is_fraud) {
            scores[count++] = self->visits[i].highest;
        }
    }
    qsort(scores, count, sizeof(*scores), compare_falling);
    detection->human_visits = count;
    for (int i = 0; count > 0 && i < DETECTION_RATES; i++) {
        self->threshold[i] = scores[(uint32_t)(rates[i] * (double)count)];
        detection->threshold[i] = (double)fixed_sigmoidf(self->threshold[i]);
    }
    free(scores);
    return count > 0 ? STATUS_OK
                     : error_set(error, STATUS_INVALID,
                                 "detection: no event of a human visit of the truth");
}

static void measure_kind(const struct detector *self, struct detection_kind *kind, uint8_t index,
                         uint32_t *scratch)
{
    for (int i = 0; i < DETECTION_RATES; i++) {
        uint32_t found = 0;
        kind->visits = 0;
        for (uint32_t visit = 0; visit < self->numbers.count; visit++) {
            if (self->visits[visit].kind == index) {
                kind->visits++;
                kind->is_bot = self->visits[visit].is_bot;
                kind->is_fraud = self->visits[visit].is_fraud;
                if (self->events_until[i][visit] > 0) {
                    scratch[found++] = self->events_until[i][visit];
                }
            }
        }
        qsort(scratch, found, sizeof(*scratch), compare_counts);
        kind->recall[i] = kind->visits ? (double)found / kind->visits : NAN;
        uint32_t middle = found / 2;
        kind->median_events[i] = found ? (double)scratch[middle] : (double)NAN;
    }
}

static enum status measure(struct detector *self, struct detection *detection, struct error *error)
{
    uint32_t *scratch = calloc((size_t)self->numbers.count + 1, sizeof(*scratch));
    if (!scratch) {
        return error_set(error, STATUS_FATAL, "detection: out of memory");
    }
    for (uint32_t kind = 0; kind < truth_file_kind_count(self->truth); kind++) {
        struct detection_kind *made = &detection->kinds[detection->kind_count++];
        (void)snprintf(made->name, sizeof(made->name), "%s", truth_file_kind(self->truth, kind));
        measure_kind(self, made, (uint8_t)kind, scratch);
    }
    free(scratch);
    return STATUS_OK;
}

/* Two passes: the threshold is known after the first. */
static enum status run_passes(struct detector *self, const struct config *config,
                              const char *const *files, uint32_t file_count,
                              struct detection *detection, struct error *error)
{
    enum status status = runner_replay(config, files, file_count, &self->stage, error);
    if (status == STATUS_OK) {
        status = set_thresholds(self, detection, error);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < self->numbers.count; i++) {
        self->visits[i].events = 0;
    }
    for (int i = 0; status == STATUS_OK && i < DETECTION_RATES; i++) {
        self->events_until[i] = calloc((size_t)self->numbers.count + 1, sizeof(uint32_t));
        if (!self->events_until[i]) {
            status = error_set(error, STATUS_FATAL, "detection: out of memory");
        }
    }
    self->is_second = true;
    if (status == STATUS_OK) {
        status = runner_replay(config, files, file_count, &self->stage, error);
    }
    return status == STATUS_OK ? measure(self, detection, error) : status;
}

enum status detection_run(const struct config *config, const char *const *files,
                          uint32_t file_count, const struct truth_file *truth,
                          struct detection *ret_detection, struct error *error)
{
    struct detector self = {.stage = {.ops = &detector_ops}, .truth = truth};
    struct detection detection = {0};
    enum status status = run_passes(&self, config, files, file_count, &detection, error);
    key_map_release(&self.numbers);
    free(self.visits);
    for (int i = 0; i < DETECTION_RATES; i++) {
        free(self.events_until[i]);
    }
    if (status == STATUS_OK) {
        *ret_detection = detection;
    }
    return status;
}

void detection_print(const struct detection *detection, FILE *out)
{
    (void)fprintf(out,
                  "%u human visits; 0.1%% of them score above %.4f, 1%% above %.4f\n"
                  "%-20s %8s %16s %16s %16s\n",
                  detection->human_visits, detection->threshold[0], detection->threshold[1], "kind",
                  "visits", "recall at 0.1%", "recall at 1%", "events until");
    for (uint32_t i = 0; i < detection->kind_count; i++) {
        const struct detection_kind *kind = &detection->kinds[i];
        (void)fprintf(out, "%-20s %8u %16.3f %16.3f %16.0f%s\n", kind->name, kind->visits,
                      kind->recall[0], kind->recall[1], kind->median_events[0],
                      kind->is_fraud ? ""
                      : kind->is_bot ? "  (bot, no fraud)"
                                     : "  (no fraud)");
    }
}

enum status detection_write_json(const struct detection *detection, const char *path,
                                 struct error *error)
{
    struct byte_buffer json = {0};
    json_append_raw(&json, "{");
    json_append_name(&json, "human_visits");
    json_append_long(&json, detection->human_visits);
    json_append_name(&json, "threshold");
    json_append_double(&json, detection->threshold[0]);
    json_append_name(&json, "kinds");
    json_append_raw(&json, "[");
    for (uint32_t i = 0; i < detection->kind_count; i++) {
        const struct detection_kind *kind = &detection->kinds[i];
        json_append_separator(&json);
        json_append_raw(&json, "{");
        json_append_name(&json, "kind");
        json_append_text(&json, text_of(kind->name));
        json_append_name(&json, "is_fraud");
        json_append_bool(&json, kind->is_fraud);
        json_append_name(&json, "visits");
        json_append_long(&json, kind->visits);
        json_append_name(&json, "recall_at_0.001");
        json_append_double(&json, kind->recall[0]);
        json_append_name(&json, "recall_at_0.01");
        json_append_double(&json, kind->recall[1]);
        json_append_name(&json, "median_events_until");
        json_append_double(&json, kind->median_events[0]);
        json_append_raw(&json, "}");
    }
    json_append_raw(&json, "]}\n");
    FILE *out = json.has_failed ? NULL : fopen(path, "wb");
    bool is_written = out && fwrite(json.bytes, 1, json.length, out) == json.length;
    if (out) {
        is_written = fclose(out) == 0 && is_written;
    }
    byte_buffer_release(&json);
    return is_written ? STATUS_OK : error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}
