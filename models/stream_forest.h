/*
 * An isolation forest over a stream: one pass, bounded state, no labels. A reservoir (Vitter,
 * "Random sampling with a reservoir", algorithm R, 1985) holds an even sample of all rows so far,
 * so that a burst of anomalies stays as rare in it as in the whole, where a sliding window would
 * learn it as normal. The forest is built anew from the reservoir each time that the rows have
 * become half as many again; in between it is constant. A row is scored before it is taken in.
 *
 * The state is plain bytes, zeros at first, and holds the rows that the forest in use was built of:
 * the forest is a function of them and the seed, and is built anew where the state comes from the
 * store.
 */
#ifndef MODELS_STREAM_FOREST_H
#define MODELS_STREAM_FOREST_H

#include <stddef.h>
#include <stdint.h>

#include "models/isolation_forest.h"

#define STREAM_FOREST_WARM_UP 256u /* Rows before the first forest. */
#define STREAM_FOREST_LIVE_MAX 8u

struct stream_forest_options {
    struct isolation_options forest;
    uint32_t reservoir; /* Rows, at least STREAM_FOREST_WARM_UP. */
    uint32_t feature_count;
};

struct stream_forest; /* The forests in use; one a state. */

size_t stream_forest_state_bytes(const struct stream_forest_options *options);

MUST_CHECK enum status stream_forest_create(const struct stream_forest_options *options,
                                            struct stream_forest **ret_stream, struct error *error);
void stream_forest_destroy(struct stream_forest *stream); /* NULL is a no-op. */

/*
 * Makes sure that the newest forest is that of `state`, and forgets all others. Once before the
 * rows of a batch: until the next call, the forests that rows were scored by stay, for reasons.
 */
MUST_CHECK enum status stream_forest_begin(struct stream_forest *stream, const void *state,
                                           struct error *error);

/*
 * Scores `row` and takes it into the state. Logit -7 is the median of the reservoir and -2 its 99th
 * percentile, on a straight line of the mean path; NaN while it warms up. ret_forest numbers the
 * forest for stream_forest_explain().
 */
MUST_CHECK enum status stream_forest_observe(struct stream_forest *stream, void *state,
                                             const float *row, float *ret_logit,
                                             uint8_t *ret_forest, struct error *error);

/* terms[feature_count] and the return value sum to the row's logit. */
float stream_forest_explain(const struct stream_forest *stream, uint8_t forest, const float *row,
                            float *terms);

#endif
