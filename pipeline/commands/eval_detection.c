#include "pipeline/commands/eval_detection.h"

#include <stdio.h>

#include "pipeline/run/detection.h"

static enum status report_detection(const struct eval_detection_arguments *arguments,
                                    const struct config *config, struct error *error)
{
    bool has_files = arguments->file_count > 0;
    const char *const *files =
        has_files ? arguments->files : (const char *const *)config->input.files.items;
    uint32_t count = (uint32_t)(has_files ? arguments->file_count : config->input.files.count);
    if (count == 0 || !arguments->truth) {
        return error_set(error, STATUS_INVALID, "eval: --detection: %s expected",
                         count == 0 ? "--input FILE" : "--truth FILE");
    }
    struct truth_file *truth;
    enum status status = truth_file_load(arguments->truth, &truth, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct detection detection;
    status = detection_run(config, files, count, truth, &detection, error);
    if (status == STATUS_OK) {
        detection_print(&detection, stdout);
    }
    if (status == STATUS_OK && arguments->json) {
        status = detection_write_json(&detection, arguments->json, error);
    }
    truth_file_unload(truth);
    return status;
}

enum status eval_detection(const struct eval_detection_arguments *arguments, struct error *error)
{
    struct config config;
    enum status status =
        config_load(arguments->config, (uint32_t)arguments->file_count, &config, error);
    if (status == STATUS_OK) {
        status = report_detection(arguments, &config, error);
        config_release(&config);
    }
    return status;
}
