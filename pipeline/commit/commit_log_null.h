/* A log that keeps nothing: for training and evaluation, where only the rows are wanted. */
#ifndef PIPELINE_COMMIT_COMMIT_LOG_NULL_H
#define PIPELINE_COMMIT_COMMIT_LOG_NULL_H

#include "pipeline/commit/commit_log.h"

MUST_CHECK enum status commit_log_null_open(struct commit_log **ret_log, struct error *error);

#endif
