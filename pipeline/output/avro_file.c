#include "pipeline/output/avro_file.h"

#include <errno.h>

/* Longest entry of a header; the schema is by far the longest. */
#define HEADER_ENTRY_BYTES_MAX (1 << 20)
#define HEADER_ENTRIES_MAX 64
#define BLOCK_BYTES_MAX (INT64_C(1) << 31)
#define READ_BYTES 65536u

static enum status fail(const struct avro_file *self, const char *problem, struct error *error)
{
    return error_set(error, STATUS_INVALID, "%s: not an Avro container: %s", self->path, problem);
}

static enum status fail_short(const struct avro_file *self, struct error *error)
{
    if (ferror(self->file)) {
        return error_set(error, STATUS_FATAL, "%s: %s", self->path, strerror(errno));
    }
    return error_set(error, STATUS_INVALID, "%s: the file ends inside its header or a block",
                     self->path);
}

/* Zigzag, seven bits a byte; *ret_is_end where the file ends before the first byte. */
static enum status read_long(const struct avro_file *self, int64_t *ret_value, bool *ret_is_end,
                             struct error *error)
{
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        int byte = getc(self->file);
        if (byte == EOF) {
            if (shift == 0 && ret_is_end && !ferror(self->file)) {
                *ret_is_end = true;
                return STATUS_OK;
            }
            return fail_short(self, error);
        }
        bits |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *ret_value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return STATUS_OK;
        }
    }
    return fail(self, "a number of more than 64 bits", error);
}

/* In pieces, so that a wrong length does not allocate more than the file holds. */
static enum status read_bytes(const struct avro_file *self, int64_t length,
                              struct byte_buffer *bytes, struct error *error)
{
    bytes->length = 0;
    while (bytes->length < (uint64_t)length) {
        size_t left = (size_t)length - bytes->length;
        size_t piece = left < READ_BYTES ? left : READ_BYTES;
        unsigned char *room = byte_buffer_room(bytes, piece);
        if (!room) {
            return error_set(error, STATUS_FATAL, "%s: out of memory", self->path);
        }
        if (fread(room, 1, piece, self->file) != piece) {
            return fail_short(self, error);
        }
        bytes->length += piece;
    }
    return STATUS_OK;
}

static enum status read_entry(struct avro_file *self, struct byte_buffer *bytes,
                              struct error *error)
{
    int64_t length = 0;
    enum status status = read_long(self, &length, NULL, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (length < 0 || length > HEADER_ENTRY_BYTES_MAX) {
        return fail(self, "a header entry of impossible length", error);
    }
    return read_bytes(self, length, bytes, error);
}

static bool buffer_is(const struct byte_buffer *bytes, const char *text)
{
    return bytes->length == strlen(text) && memcmp(bytes->bytes, text, bytes->length) == 0;
}

/* One name and value of the header; `bytes` is scratch. */
static enum status read_pair(struct avro_file *self, struct byte_buffer *bytes, struct error *error)
{
    enum status status = read_entry(self, bytes, error);
    bool is_schema = status == STATUS_OK && buffer_is(bytes, "avro.schema");
    bool is_codec = status == STATUS_OK && buffer_is(bytes, "avro.codec");
    if (status == STATUS_OK) {
        status = read_entry(self, is_schema ? &self->schema : bytes, error);
    }
    if (status == STATUS_OK && is_codec && !buffer_is(bytes, "null")) {
        return error_set(error, STATUS_INVALID, "%s: codec \"%.*s\", expected \"null\"", self->path,
                         (int)bytes->length, (const char *)bytes->bytes);
    }
    return status;
}

static enum status read_pairs(struct avro_file *self, struct byte_buffer *bytes,
                              struct error *error)
{
    for (;;) {
        int64_t count = 0;
        enum status status = read_long(self, &count, NULL, error);
        if (status != STATUS_OK || count == 0) {
            return status;
        }
        if (count < 0 || count > HEADER_ENTRIES_MAX) {
            return fail(self, "an impossible number of header entries", error);
        }
        for (int64_t i = 0; i < count; i++) {
            status = read_pair(self, bytes, error);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
}

enum status avro_file_init(struct avro_file *self, FILE *file, const char *path,
                           struct error *error)
{
    *self = (struct avro_file){.file = file, .path = path};
    char magic[4];
    if (fread(magic, 1, sizeof(magic), file) != sizeof(magic)) {
        return fail_short(self, error);
    }
    if (memcmp(magic, "Obj\x01", sizeof(magic)) != 0) {
        return fail(self, "it does not begin with Obj and 1", error);
    }
    struct byte_buffer bytes = {0};
    enum status status = read_pairs(self, &bytes, error);
    byte_buffer_release(&bytes);
    if (status == STATUS_OK && fread(self->sync, 1, AVRO_SYNC_BYTES, file) != AVRO_SYNC_BYTES) {
        status = fail_short(self, error);
    }
    if (status == STATUS_OK && self->schema.length == 0) {
        status = fail(self, "no schema", error);
    }
    return status;
}

void avro_file_release(struct avro_file *self)
{
    byte_buffer_release(&self->schema);
    byte_buffer_release(&self->block);
}

enum status avro_file_next(struct avro_file *self, uint64_t *ret_count, struct error *error)
{
    bool is_end = false;
    int64_t count = 0;
    int64_t length = 0;
    enum status status = read_long(self, &count, &is_end, error);
    if (status != STATUS_OK || is_end) {
        *ret_count = 0;
        return status;
    }
    status = read_long(self, &length, NULL, error);
    if (status == STATUS_OK && (count <= 0 || length < 0 || length > BLOCK_BYTES_MAX)) {
        status = fail(self, "a block of impossible size", error);
    }
    if (status == STATUS_OK) {
        status = read_bytes(self, length, &self->block, error);
    }
    unsigned char sync[AVRO_SYNC_BYTES];
    if (status == STATUS_OK && fread(sync, 1, sizeof(sync), self->file) != sizeof(sync)) {
        status = fail_short(self, error);
    }
    if (status == STATUS_OK && memcmp(sync, self->sync, sizeof(sync)) != 0) {
        status = fail(self, "a block does not end with the sync marker", error);
    }
    if (status == STATUS_OK) {
        *ret_count = (uint64_t)count;
    }
    return status;
}

int64_t avro_input_long(struct avro_input *input)
{
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 64 && input->next < input->end; shift += 7) {
        unsigned char byte = *input->next++;
        bits |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
        }
    }
    input->has_failed = true;
    input->next = input->end;
    return 0;
}

const unsigned char *avro_input_raw(struct avro_input *input, uint64_t length)
{
    if (length > (uint64_t)(input->end - input->next)) {
        input->has_failed = true;
        input->next = input->end;
        return NULL;
    }
    const unsigned char *bytes = input->next;
    input->next += length;
    return bytes;
}
