#include <stdlib.h>
#include <string.h>

#include "pipeline/run/input.h"
#include "pipeline/stage.h" /* container_of */

struct input_file {
    struct input input;
    struct source_options options;
    char *path;                    /* What options.path points to. */
    const struct mapping *mapping; /* Borrowed. */
    struct source *source;
    struct decoder *decoder;
    bool is_untouched; /* Opened at the start, and nothing read yet. */
    struct input_fingerprint expected;
};

static struct input_file *self_of(struct input *input)
{
    return container_of(input, struct input_file, input);
}

static enum status input_file_start(struct input_file *self, const struct input_position *position,
                                    struct error *error)
{
    decoder_destroy(self->decoder);
    source_close(self->source);
    self->decoder = NULL;
    self->source = NULL;
    enum status status = source_open(&self->options, position, &self->source, error);
    if (status == STATUS_OK) {
        status = decoder_create(self->mapping, &self->options, self->source, &self->decoder, error);
    }
    return status;
}

/* The file at `position` is the one that was read up to there. */
static enum status check_fingerprint(struct input_file *self, const struct input_position *position,
                                     struct error *error)
{
    uint64_t bytes = 0;
    uint64_t hash = source_fingerprint(self->source, self->expected.bytes, &bytes);
    if (bytes == self->expected.bytes && (bytes == 0 || hash == self->expected.hash)) {
        return STATUS_OK;
    }
    if (self->options.is_followed) { /* It was replaced while nobody looked. */
        struct input_position anew = {.ordinal = position->ordinal};
        return input_file_start(self, &anew, error);
    }
    return error_set(error, STATUS_INVALID,
                     "%s: begins otherwise than what was read for this partition up to record "
                     "%llu; expected the same input files, in the same order, as before, or "
                     "another output directory",
                     self->path, (unsigned long long)position->ordinal);
}

static enum status input_file_next(struct input *input, struct event_batch *batch, uint32_t row,
                                   struct input_item *ret_item, struct error *error)
{
    struct input_file *self = self_of(input);
    enum source_result result;
    self->is_untouched = false;
    enum status status = source_next(self->source, &ret_item->raw, &result, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (result != SOURCE_RECORD) {
        ret_item->result = result == SOURCE_WAIT ? INPUT_WAIT : INPUT_END;
        return STATUS_OK;
    }
    static const enum input_result results[] = {
        [MAPPING_EVENT] = INPUT_EVENT,
        [MAPPING_REJECTED] = INPUT_REJECTED,
        [MAPPING_SKIPPED] = INPUT_SKIPPED,
    };
    enum mapping_result decoded =
        decoder_decode(self->decoder, &ret_item->raw, batch, row, &ret_item->rejection);
    if (decoded == MAPPING_FAILED) {
        return error_set(error, STATUS_FATAL, "%s: record %llu: out of memory", self->path,
                         (unsigned long long)ret_item->raw.position.ordinal);
    }
    ret_item->result = results[decoded];
    return STATUS_OK;
}

static void input_file_unread(struct input *input)
{
    source_unread(self_of(input)->source);
}

static struct input_position input_file_position(const struct input *input)
{
    const struct input_file *self = container_of(input, const struct input_file, input);
    return source_position(self->source);
}

static enum status input_file_seek(struct input *input, const struct input_position *position,
                                   struct error *error)
{
    struct input_file *self = self_of(input);
    bool stands_there =
        self->source && self->is_untouched && position->ordinal == 0 && position->bytes == 0;
    self->is_untouched = false;
    if (stands_there) {
        return STATUS_OK;
    }
    enum status status = input_file_start(self, position, error);
    return status == STATUS_OK ? check_fingerprint(self, position, error) : status;
}

static struct input_fingerprint input_file_fingerprint(const struct input *input,
                                                       const struct input_position *position)
{
    const struct input_file *self = container_of(input, const struct input_file, input);
    struct input_fingerprint fingerprint;
    fingerprint.hash = source_fingerprint(self->source, position->bytes, &fingerprint.bytes);
    return fingerprint;
}

static void input_file_expect(struct input *input, const struct input_fingerprint *fingerprint)
{
    self_of(input)->expected = *fingerprint;
}

static void input_file_release(struct input *input)
{
    source_release(self_of(input)->source);
}

static double input_file_progress(const struct input *input)
{
    const struct input_file *self = container_of(input, const struct input_file, input);
    return source_progress(self->source);
}

static void input_file_close(struct input *input)
{
    if (input) {
        struct input_file *self = self_of(input);
        decoder_destroy(self->decoder);
        source_close(self->source);
        free(self->path);
        free(self);
    }
}

static const struct input_ops input_file_ops = {
    .next = input_file_next,
    .unread = input_file_unread,
    .position = input_file_position,
    .seek = input_file_seek,
    .fingerprint = input_file_fingerprint,
    .expect = input_file_expect,
    .release = input_file_release,
    .progress = input_file_progress,
    .close = input_file_close,
};

enum status input_file_open(const struct source_options *options, const struct mapping *mapping,
                            struct input **ret_input, struct error *error)
{
    struct input_file *self = calloc(1, sizeof(*self));
    char *path = strdup(options->path);
    if (!self || !path) {
        free(self);
        free(path);
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->path);
    }
    self->input.ops = &input_file_ops;
    self->options = *options;
    self->options.path = path;
    self->path = path;
    self->mapping = mapping;
    /* A file that cannot be read is refused at once. Standard input can be read only once, so that
     * its start waits until it is known from where on. */
    enum status status = strcmp(path, "-") == 0
                             ? STATUS_OK
                             : input_file_start(self, &(struct input_position){0}, error);
    if (status != STATUS_OK) {
        input_file_close(&self->input);
        return status;
    }
    self->is_untouched = true;
    *ret_input = &self->input;
    return STATUS_OK;
}
