#include "pipeline/source/splitter.h"

enum status avro_splitter_create(struct source *source, struct splitter **ret_splitter,
                                 struct error *error)
{
    (void)ret_splitter;
    return error_set(error, STATUS_INVALID, "%s: Avro is not read yet", source->path);
}
