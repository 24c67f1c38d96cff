/* The folder that the states of a run on files are in, a folder for each partition: 0, 1, ... */
#ifndef PIPELINE_RUN_STATE_FOLDER_H
#define PIPELINE_RUN_STATE_FOLDER_H

#include <stdint.h>

#include "pipeline/base/status.h"

/*
 * Refuses to go on with `file_count` input files over a state of more partitions: what those have
 * not read would be left out, and nobody would be told. STATUS_INVALID, naming them, where one of
 * them has committed something; a folder that is not there has none.
 */
MUST_CHECK enum status state_folder_check(const char *directory, uint32_t file_count,
                                          struct error *error);

#endif
