/*
 * How unusual an event is, without labels, measured against what came before it: a series against
 * the user's own past (robust_ewma.h), or a point among all events of the partition
 * (stream_forest.h, half_space_trees.h). One pass; an event is scored before it is learnt from.
 * Reads order, state, kind, record, features, price, quantity, stock, attributes. Writes score,
 * score_logit and explainer of anomaly; other rows than live events have NaN.
 * State: of robust_ewma 424 bytes of a user, which count as a model's; of the others the task's.
 */
#ifndef OPERATORS_SCORE_ANOMALY_H
#define OPERATORS_SCORE_ANOMALY_H

#include "pipeline/config/settings.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/stage.h"

#define ANOMALY_INPUTS_MAX 16u

enum anomaly_detector {
    ANOMALY_NONE,
    ANOMALY_ROBUST_EWMA,
    ANOMALY_ISOLATION_FOREST,
    ANOMALY_HALF_SPACE_TREES,
};

struct score_anomaly_options {
    int detector;            /* enum anomaly_detector */
    struct text_list inputs; /* price, quantity, stock, attributes.NAME, or a feature's name. */
    int64_t hold;
    int64_t trees, sample, reservoir; /* trees: 0: as many as the detector is known to need. */
    int64_t depth, window;
    int64_t seed;
};

extern const struct setting_section score_anomaly_section;
extern const struct stage_info score_anomaly_info;

/* Of all that scores depend on; 0: none is made. */
uint64_t score_anomaly_hash(const struct score_anomaly_options *options);

/*
 * Without a detector the stage does nothing and keeps nothing. STATUS_INVALID names an input that
 * is none, or a state that is too large. Release with stage_destroy().
 */
MUST_CHECK enum status score_anomaly_create(const struct score_anomaly_options *options,
                                            const struct feature_set *set,
                                            struct record_layout *layout, struct stage **ret_stage,
                                            struct error *error);

#endif
