#include "pipeline/source/avro_container.h"

#include <limits.h>
#include <string.h>

#include <zlib.h>

#include "pipeline/source/avro_schema.h"

static enum avro_header_result bad(struct error *error, const char *name, const char *what)
{
    (void)error_set(error, STATUS_INVALID, "%s: %s", name, what);
    return AVRO_HEADER_BAD;
}

static enum avro_header_result set_codec(const char *name, struct text codec,
                                         struct avro_header *header, struct error *error)
{
    if (text_is(codec, "null")) {
        header->codec = AVRO_CODEC_NULL;
    } else if (text_is(codec, "deflate")) {
        header->codec = AVRO_CODEC_DEFLATE;
    } else {
        (void)error_set(error, STATUS_INVALID,
                        "%s: Avro codec \"%.*s\", expected \"null\" or \"deflate\"", name,
                        codec.length > 40 ? 40 : (int)codec.length, codec.data);
        return AVRO_HEADER_BAD;
    }
    return AVRO_HEADER_OK;
}

static enum avro_header_result read_entry(const char *name, struct avro_cursor *cursor,
                                          struct avro_header *header, struct error *error)
{
    struct text key;
    struct text value;
    if (!avro_read_bytes(cursor, &key) || !avro_read_bytes(cursor, &value)) {
        return AVRO_HEADER_CUT;
    }
    if (text_is(key, "avro.schema")) {
        header->schema = value;
    } else if (text_is(key, "avro.codec")) {
        return set_codec(name, value, header, error);
    }
    return AVRO_HEADER_OK;
}

static enum avro_header_result read_metadata(const char *name, struct avro_cursor *cursor,
                                             struct avro_header *header, struct error *error)
{
    for (;;) {
        int64_t count = 0;
        int64_t bytes = 0;
        if (!avro_read_long(cursor, &count) || (count < 0 && !avro_read_long(cursor, &bytes))) {
            return AVRO_HEADER_CUT;
        }
        if (count == 0) {
            return AVRO_HEADER_OK;
        }
        if (count == INT64_MIN) {
            return bad(error, name, "Avro header with a count that cannot be");
        }
        for (int64_t i = count < 0 ? -count : count; i > 0; i--) {
            enum avro_header_result result = read_entry(name, cursor, header, error);
            if (result != AVRO_HEADER_OK) {
                return result;
            }
        }
    }
}

enum avro_header_result avro_header_parse(const char *name, struct text bytes,
                                          struct avro_header *ret_header, struct error *error)
{
    static const char magic[4] = {'O', 'b', 'j', 1};
    size_t known = bytes.length < sizeof(magic) ? bytes.length : sizeof(magic);
    if (known > 0 && memcmp(bytes.data, magic, known) != 0) {
        return bad(error, name, "is no Avro container: it does not begin with Obj and 1");
    }
    if (bytes.length < sizeof(magic)) {
        return AVRO_HEADER_CUT;
    }
    const unsigned char *start = (const unsigned char *)bytes.data;
    struct avro_cursor cursor = {start + sizeof(magic), start + bytes.length};
    struct avro_header header = {.codec = AVRO_CODEC_NULL};
    enum avro_header_result result = read_metadata(name, &cursor, &header, error);
    if (result != AVRO_HEADER_OK) {
        return result;
    }
    const unsigned char *sync = cursor.next;
    if (!avro_skip_bytes(&cursor, AVRO_SYNC_BYTES)) {
        return AVRO_HEADER_CUT;
    }
    if (header.schema.length == 0) {
        return bad(error, name, "Avro header without a schema");
    }
    memcpy(header.sync, sync, AVRO_SYNC_BYTES);
    header.bytes = (size_t)(cursor.next - start);
    *ret_header = header;
    return AVRO_HEADER_OK;
}

enum inflate_step { INFLATE_DONE, INFLATE_MORE_ROOM, INFLATE_DAMAGED, INFLATE_NO_MEMORY };

static enum inflate_step inflate_into(struct text packed, char *plain, size_t room,
                                      size_t *ret_length)
{
    z_stream zlib = {.next_in = (z_const Bytef *)(uintptr_t)packed.data,
                     .avail_in = packed.length,
                     .next_out = (Bytef *)plain,
                     .avail_out = (uInt)room};
    if (inflateInit2(&zlib, -MAX_WBITS) != Z_OK) {
        return INFLATE_NO_MEMORY;
    }
    int result = inflate(&zlib, Z_FINISH);
    bool is_full = zlib.avail_out == 0;
    bool is_used_up = zlib.avail_in == 0;
    *ret_length = room - zlib.avail_out;
    (void)inflateEnd(&zlib);
    if (result == Z_STREAM_END && is_used_up) {
        return INFLATE_DONE;
    }
    if (result == Z_MEM_ERROR) {
        return INFLATE_NO_MEMORY;
    }
    return result == Z_BUF_ERROR && is_full ? INFLATE_MORE_ROOM : INFLATE_DAMAGED;
}

enum avro_inflate_result avro_inflate(struct read_window *window, struct text packed,
                                      size_t *size_hint, struct text *ret_plain)
{
    size_t room = *size_hint > 0 ? *size_hint : (size_t)packed.length * 8 + 4096;
    for (;; room *= 2) {
        if (room > AVRO_BLOCK_BYTES_MAX) {
            room = AVRO_BLOCK_BYTES_MAX;
        }
        char *plain = read_window_extra(window, room);
        size_t length = 0;
        if (!plain) {
            return AVRO_INFLATE_NO_MEMORY;
        }
        switch (inflate_into(packed, plain, room, &length)) {
        case INFLATE_DONE: {
            size_t roomy = length + length / 4;
            *size_hint = roomy > *size_hint ? roomy : *size_hint;
            *ret_plain = (struct text){plain, (uint32_t)length};
            return AVRO_INFLATED;
        }
        case INFLATE_NO_MEMORY:
            return AVRO_INFLATE_NO_MEMORY;
        case INFLATE_DAMAGED:
            return AVRO_INFLATE_DAMAGED;
        case INFLATE_MORE_ROOM:
            break;
        }
        if (room == AVRO_BLOCK_BYTES_MAX) {
            return AVRO_INFLATE_DAMAGED;
        }
    }
}
