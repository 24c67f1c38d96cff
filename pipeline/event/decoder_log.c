#include "pipeline/event/decoder_formats.h"

enum status log_decoder_create(const struct mapping *mapping, const struct source_options *options,
                               struct decoder **ret_decoder, struct error *error)
{
    (void)mapping;
    (void)ret_decoder;
    return error_set(error, STATUS_INVALID, "%s: logs are not read yet", options->path);
}
