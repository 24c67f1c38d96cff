/* `nudge eval --detection`. */
#ifndef PIPELINE_COMMANDS_EVAL_DETECTION_H
#define PIPELINE_COMMANDS_EVAL_DETECTION_H

#include <stddef.h>

#include "pipeline/base/status.h"

struct eval_detection_arguments {
    const char *config, *truth, *json; /* NULL: not given. */
    const char *const *files;          /* [file_count], in place of the configuration's input. */
    size_t file_count;
};

/* STATUS_INVALID: no input or no truth. */
MUST_CHECK enum status eval_detection(const struct eval_detection_arguments *arguments,
                                      struct error *error);

#endif
