#include "pipeline/base/json_text.h"

#include <math.h>

#include "pipeline/base/iso_time.h"
#include "pipeline/base/number_text.h"
#include "pipeline/base/utf8.h"

/* Longest that one byte of text can get: \u001f. */
#define ESCAPE_BYTES_MAX 6u
/* Text is taken in pieces, so that room for the worst case stays small. */
#define PIECE_BYTES 4096u

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Has a byte below 0x20, a quote, a backslash, or one above 0x7F. Exact as a whole, not per byte:
 * borrows only move up from a byte that is itself such a one. */
static bool word_needs_care(uint64_t word)
{
    uint64_t quote = word ^ (EACH_BYTE * '"');
    uint64_t backslash = word ^ (EACH_BYTE * '\\');
    uint64_t found =
        (word - EACH_BYTE * 0x20) | (quote - EACH_BYTE) | (backslash - EACH_BYTE) | word;
    return (found & (EACH_BYTE * 0x80)) != 0;
}

static bool byte_needs_care(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte > 0x7F;
}

static uint32_t plain_length(const char *bytes, uint32_t length)
{
    uint32_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        if (word_needs_care(word)) {
            break;
        }
    }
    while (i < length && !byte_needs_care((unsigned char)bytes[i])) {
        i++;
    }
    return i;
}

static uint32_t put_escape(unsigned char *to, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_names[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    to[0] = '\\';
    if (byte >= 0x20) {
        to[1] = byte; /* A quote or a backslash. */
        return 2;
    }
    if (short_names[byte]) {
        to[1] = (unsigned char)short_names[byte];
        return 2;
    }
    to[1] = 'u';
    to[2] = '0';
    to[3] = '0';
    to[4] = (unsigned char)hex[byte >> 4];
    to[5] = (unsigned char)hex[byte & 15];
    return 6;
}

/*
 * Appends a piece of at most PIECE_BYTES and returns how much of it was taken: all, unless it ends
 * inside a sequence that the `more` bytes behind it may complete.
 */
static uint32_t append_piece(struct byte_buffer *json, const char *bytes, uint32_t length,
                             uint32_t more)
{
    unsigned char *room = byte_buffer_room(json, (size_t)length * ESCAPE_BYTES_MAX);
    if (!room) {
        return length;
    }
    unsigned char *to = room;
    uint32_t i = 0;
    while (i < length) {
        uint32_t plain = plain_length(bytes + i, length - i);
        memcpy(to, bytes + i, plain);
        to += plain;
        i += plain;
        if (i == length) {
            break;
        }
        if ((unsigned char)bytes[i] < 0x80) {
            to += put_escape(to, (unsigned char)bytes[i]);
            i++;
            continue;
        }
        if (length - i < 4 && more > 0) {
            break;
        }
        bool is_valid;
        uint32_t sequence = utf8_sequence(bytes + i, length - i, &is_valid);
        const char *from = is_valid ? bytes + i : UTF8_REPLACEMENT;
        uint32_t count = is_valid ? sequence : 3;
        memcpy(to, from, count);
        to += count;
        i += sequence;
    }
    json->length += (size_t)(to - room);
    return i;
}

void json_append_text(struct byte_buffer *json, struct text value)
{
    byte_buffer_append_byte(json, '"');
    for (uint32_t i = 0; i < value.length;) {
        uint32_t left = value.length - i;
        uint32_t length = left < PIECE_BYTES ? left : PIECE_BYTES;
        i += append_piece(json, value.data + i, length, left - length);
    }
    byte_buffer_append_byte(json, '"');
}

void json_append_separator(struct byte_buffer *json)
{
    if (json->length > 0) {
        unsigned char last = json->bytes[json->length - 1];
        if (last != '{' && last != '[' && last != ':' && last != '\n') {
            byte_buffer_append_byte(json, ',');
        }
    }
}

void json_append_name(struct byte_buffer *json, const char *name)
{
    json_append_separator(json);
    json_append_text(json, text_of(name));
    byte_buffer_append_byte(json, ':');
}

void json_append_raw(struct byte_buffer *json, const char *terminated)
{
    byte_buffer_append(json, terminated, strlen(terminated));
}

void json_append_long(struct byte_buffer *json, int64_t value)
{
    unsigned char *room = byte_buffer_room(json, NUMBER_TEXT_BYTES_MAX);
    if (room) {
        json->length += number_text_long(value, (char *)room);
    }
}

void json_append_double(struct byte_buffer *json, double value)
{
    if (!isfinite(value)) {
        json_append_null(json);
        return;
    }
    unsigned char *room = byte_buffer_room(json, NUMBER_TEXT_BYTES_MAX);
    if (room) {
        json->length += number_text_double(value, (char *)room);
    }
}

void json_append_float(struct byte_buffer *json, float value)
{
    if (!isfinite(value)) {
        json_append_null(json);
        return;
    }
    unsigned char *room = byte_buffer_room(json, NUMBER_TEXT_BYTES_MAX);
    if (room) {
        json->length += number_text_float(value, (char *)room);
    }
}

void json_append_bool(struct byte_buffer *json, bool value)
{
    json_append_raw(json, value ? "true" : "false");
}

void json_append_null(struct byte_buffer *json)
{
    byte_buffer_append(json, "null", 4);
}

void json_append_time(struct byte_buffer *json, int64_t time_ms)
{
    unsigned char *room = byte_buffer_room(json, ISO_TIME_BYTES_MAX + 2);
    if (room) {
        room[0] = '"';
        size_t length = iso_time_format(time_ms, (char *)room + 1);
        room[length + 1] = '"';
        json->length += length + 2;
    }
}

static void put_base64_group(unsigned char *to, uint32_t group)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 4; i++) {
        to[i] = (unsigned char)alphabet[(group >> (18 - 6 * i)) & 63];
    }
}

void json_append_bytes(struct byte_buffer *json, const void *bytes, uint32_t length)
{
    const unsigned char *from = bytes;
    size_t text_length = ((size_t)length + 2) / 3 * 4;
    unsigned char *to = byte_buffer_room(json, text_length + 2);
    if (!to) {
        return;
    }
    json->length += text_length + 2;
    *to++ = '"';
    uint32_t i = 0;
    for (; i + 3 <= length; i += 3, to += 4) {
        put_base64_group(to, (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2]);
    }
    if (i < length) {
        uint32_t second = i + 1 < length ? from[i + 1] : 0u;
        put_base64_group(to, (uint32_t)from[i] << 16 | second << 8);
        to[3] = '=';
        to[2] = i + 1 < length ? to[2] : '=';
        to += 4;
    }
    *to = '"';
}
