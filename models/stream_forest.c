#include "models/stream_forest.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/path_scale.h"
#include "models/random_stream.h"

struct stream_state {
    uint64_t seen;     /* Rows so far. */
    uint64_t built_at; /* Rows when the forest in use was built; 0: none. */
    float rows[];      /* [reservoir][feature_count], then as they were at built_at. */
};

struct live_forest {
    struct isolation_forest *forest; /* Owned. */
    struct path_scale scale;
    uint64_t built_at;
};

struct stream_forest {
    struct stream_forest_options options;
    struct live_forest live[STREAM_FOREST_LIVE_MAX];
    uint32_t live_count; /* The newest is the last. */
    float *paths;        /* [reservoir]; scratch. Owned. */
};

static size_t rows_count(const struct stream_forest_options *options)
{
    return (size_t)options->reservoir * options->feature_count;
}

size_t stream_forest_state_bytes(const struct stream_forest_options *options)
{
    size_t bytes = sizeof(struct stream_state) + 2 * rows_count(options) * sizeof(float);
    return (bytes + 7) / 8 * 8;
}

enum status stream_forest_create(const struct stream_forest_options *options,
                                 struct stream_forest **ret_stream, struct error *error)
{
    assert(options->reservoir >= STREAM_FOREST_WARM_UP && options->feature_count >= 1);
    struct stream_forest *stream = calloc(1, sizeof(*stream));
    float *paths = calloc(options->reservoir, sizeof(*paths));
    if (!stream || !paths) {
        free(stream);
        free(paths);
        return error_set(error, STATUS_FATAL, "stream forest: out of memory");
    }
    stream->options = *options;
    stream->paths = paths;
    *ret_stream = stream;
    return STATUS_OK;
}

static void forget(struct stream_forest *stream, uint32_t keep_from)
{
    for (uint32_t i = 0; i < keep_from; i++) {
        isolation_forest_destroy(stream->live[i].forest);
    }
    stream->live_count -= keep_from;
    memmove(stream->live, stream->live + keep_from, stream->live_count * sizeof(*stream->live));
}

void stream_forest_destroy(struct stream_forest *stream)
{
    if (stream) {
        forget(stream, stream->live_count);
        free(stream->paths);
        free(stream);
    }
}

static const float *built_rows(const struct stream_forest *stream, const struct stream_state *state)
{
    return state->rows + rows_count(&stream->options);
}

/* Builds the forest of the rows that the state holds for it. */
static enum status build(struct stream_forest *stream, const struct stream_state *state,
                         struct error *error)
{
    const struct stream_forest_options *options = &stream->options;
    const float *rows = built_rows(stream, state);
    uint32_t count =
        state->built_at < options->reservoir ? (uint32_t)state->built_at : options->reservoir;
    struct isolation_options forest = options->forest;
    forest.seed += state->built_at;
    assert(stream->live_count < STREAM_FOREST_LIVE_MAX);
    struct live_forest *live = &stream->live[stream->live_count];
    enum status status =
        isolation_forest_build(rows, count, options->feature_count, &forest, &live->forest, error);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        stream->paths[i] =
            isolation_forest_path(live->forest, rows + (size_t)i * options->feature_count);
    }
    live->scale = path_scale_of(stream->paths, count);
    live->built_at = state->built_at;
    stream->live_count++;
    return STATUS_OK;
}

enum status stream_forest_begin(struct stream_forest *stream, const void *given,
                                struct error *error)
{
    const struct stream_state *state = given;
    if (stream->live_count > 0) {
        bool is_current = stream->live[stream->live_count - 1].built_at == state->built_at;
        forget(stream, stream->live_count - is_current);
    }
    return stream->live_count == 0 && state->built_at > 0 ? build(stream, state, error) : STATUS_OK;
}

static void take_in(const struct stream_forest *stream, struct stream_state *state,
                    const float *row)
{
    const struct stream_forest_options *options = &stream->options;
    uint64_t place = state->seen;
    if (place >= options->reservoir) {
        struct random_stream random = random_stream_of(options->forest.seed, state->seen);
        place = random_stream_next(&random) % (state->seen + 1);
    }
    state->seen++;
    if (place < options->reservoir) {
        memcpy(state->rows + place * options->feature_count, row,
               options->feature_count * sizeof(*row));
    }
}

static bool is_time_to_build(const struct stream_state *state)
{
    return state->built_at == 0 ? state->seen >= STREAM_FOREST_WARM_UP
                                : state->seen - state->built_at >= state->built_at / 2;
}

enum status stream_forest_observe(struct stream_forest *stream, void *given, const float *row,
                                  float *ret_logit, uint8_t *ret_forest, struct error *error)
{
    struct stream_state *state = given;
    *ret_logit = NAN;
    *ret_forest = 0;
    if (stream->live_count > 0) {
        const struct live_forest *live = &stream->live[stream->live_count - 1];
        *ret_logit = path_scale_logit(&live->scale, isolation_forest_path(live->forest, row));
        *ret_forest = (uint8_t)(stream->live_count - 1);
    }
    take_in(stream, state, row);
    if (!is_time_to_build(state)) {
        return STATUS_OK;
    }
    memcpy(state->rows + rows_count(&stream->options), state->rows,
           rows_count(&stream->options) * sizeof(*row));
    state->built_at = state->seen;
    return build(stream, state, error);
}

float stream_forest_explain(const struct stream_forest *stream, uint8_t forest, const float *row,
                            float *terms)
{
    const struct live_forest *live = &stream->live[forest];
    float path = isolation_forest_explain(live->forest, row, terms);
    for (uint32_t i = 0; i < stream->options.feature_count; i++) {
        terms[i] *= -live->scale.slope;
    }
    return path_scale_logit(&live->scale, path);
}
