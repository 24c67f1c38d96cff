#include "pipeline/event/decoder_formats.h"

enum status avro_decoder_create(const struct mapping *mapping, const struct source_options *options,
                                const struct source *source, struct decoder **ret_decoder,
                                struct error *error)
{
    (void)mapping;
    (void)source;
    (void)ret_decoder;
    return error_set(error, STATUS_INVALID, "%s: Avro is not read yet", options->path);
}
