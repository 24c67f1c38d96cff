/*
 * How much of each kind of fraud the served score finds, by visits: a visit's score is the highest
 * of its events (labels, which tell what became known later, are left out). The threshold is that
 * which a share of the human visits without fraud reaches.
 */
#ifndef PIPELINE_RUN_DETECTION_H
#define PIPELINE_RUN_DETECTION_H

#include <stdio.h>

#include "pipeline/run/config.h"
#include "pipeline/run/truth_file.h"

#define DETECTION_RATES 2 /* 0.1% and 1% of the human visits. */

struct detection_kind {
    char name[TRUTH_KIND_BYTES];
    bool is_bot, is_fraud;
    uint32_t visits;
    double recall[DETECTION_RATES];        /* Share of the visits above the threshold. */
    double median_events[DETECTION_RATES]; /* Events of a visit until it was, NaN: none was. */
};

struct detection {
    struct detection_kind kinds[TRUTH_KINDS_MAX];
    uint32_t kind_count;
    uint32_t human_visits;
    double threshold[DETECTION_RATES]; /* Score. */
};

/* STATUS_INVALID where no event belongs to a visit of the truth, or none is human. */
MUST_CHECK enum status detection_run(const struct config *config, const char *const *files,
                                     uint32_t file_count, const struct truth_file *truth,
                                     struct detection *ret_detection, struct error *error);

void detection_print(const struct detection *detection, FILE *out);
MUST_CHECK enum status detection_write_json(const struct detection *detection, const char *path,
                                            struct error *error);

#endif
