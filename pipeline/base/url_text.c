#include "pipeline/base/url_text.h"

#include "pipeline/base/unicode_text.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    int lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that %XX at `at` stands for, or -1 where it is to stay as it is. */
static int encoded_byte(struct text text, uint32_t at, bool keeps_slash)
{
    if (text.length - at < 3) {
        return -1;
    }
    int high = hex_value(text.data[at + 1]);
    int low = hex_value(text.data[at + 2]);
    int byte = high * 16 + low;
    bool stays = high < 0 || low < 0 || byte < 0x20 || byte == 0x7F;
    return stays || (keeps_slash && byte == '/') ? -1 : byte;
}

static bool decode(struct text text, bool is_query, bool keeps_slash, struct arena *arena,
                   struct text *ret_text)
{
    bool is_plain = text.length == 0 || (!memchr(text.data, '%', text.length) &&
                                         !(is_query && memchr(text.data, '+', text.length)));
    if (is_plain) {
        *ret_text = text;
        return true;
    }
    char *bytes = arena_array(arena, char, text.length);
    if (!bytes) {
        return false;
    }
    uint32_t length = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        int byte = text.data[i] == '%' ? encoded_byte(text, i, keeps_slash) : -1;
        if (byte >= 0) {
            unsigned char plain = (unsigned char)byte;
            memcpy(&bytes[length++], &plain, 1);
            i += 2;
        } else {
            bytes[length++] = text.data[i];
            if (is_query && text.data[i] == '+') {
                bytes[length - 1] = ' ';
            }
        }
    }
    struct text decoded = {bytes, length};
    *ret_text = text_is_utf8(decoded) ? decoded : text;
    return true;
}

bool url_decode(struct text text, bool is_query, struct arena *arena, struct text *ret_text)
{
    return decode(text, is_query, false, arena, ret_text);
}

static struct text text_from(struct text text, uint32_t at)
{
    at = at < text.length ? at : text.length;
    return (struct text){text.data + at, text.length - at};
}

/* Index of the first of `chars` in `text`, or its length. */
static uint32_t find_any(struct text text, const char *chars)
{
    for (uint32_t i = 0; i < text.length; i++) {
        for (const char *c = chars; *c; c++) {
            if (text.data[i] == *c) {
                return i;
            }
        }
    }
    return text.length;
}

/* Splits off "scheme://authority". A text without a scheme is all path and query. */
static struct text split_authority(struct text text, struct text *ret_authority)
{
    *ret_authority = (struct text){0};
    uint32_t colon = find_any(text, ":/?#");
    struct text rest = text_from(text, colon);
    if (rest.length < 3 || memcmp(rest.data, "://", 3) != 0) {
        if (text.length < 2 || memcmp(text.data, "//", 2) != 0) {
            return text;
        }
        rest = text_from(text, 2);
    } else {
        rest = text_from(rest, 3);
    }
    uint32_t end = find_any(rest, "/?#");
    *ret_authority = (struct text){rest.data, end};
    return text_from(rest, end);
}

static bool host_of(struct text authority, struct arena *arena, struct text *ret_part)
{
    uint32_t at_sign = find_any(authority, "@");
    if (at_sign < authority.length) {
        authority = text_from(authority, at_sign + 1);
    }
    if (authority.length == 0 || !authority.data) {
        *ret_part = (struct text){0};
        return true;
    }
    bool is_v6 = authority.data[0] == '[';
    uint32_t end = find_any(authority, is_v6 ? "]" : ":");
    authority.length = is_v6 && end < authority.length ? end + 1 : end;
    char *lower = arena_array(arena, char, authority.length);
    if (!lower) {
        return false;
    }
    for (uint32_t i = 0; i < authority.length; i++) {
        char c = authority.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    *ret_part = (struct text){lower, authority.length};
    return true;
}

static struct text query_of(struct text text)
{
    uint32_t mark = find_any(text, "?");
    bool is_bare = mark == text.length && find_any(text, "/") == text.length;
    struct text query = is_bare ? text : text_from(text, mark + 1);
    query.length = find_any(query, "#");
    return query;
}

/* The value of NAME=VALUE among pairs parted by any of `separators`, blanks before names skipped.
 */
static struct text find_pair(struct text pairs, const char *separators, struct text name)
{
    while (pairs.length > 0) {
        uint32_t end = find_any(pairs, separators);
        struct text pair = {pairs.data, end};
        while (pair.length > 0 && pair.data[0] == ' ') {
            pair = text_from(pair, 1);
        }
        uint32_t equals = find_any(pair, "=");
        if (equals < pair.length && text_equal((struct text){pair.data, equals}, name)) {
            return text_from(pair, equals + 1);
        }
        pairs = text_from(pairs, end + 1);
    }
    return (struct text){0};
}

bool url_part(struct text text, enum url_part part, struct text name, struct arena *arena,
              struct text *ret_part)
{
    if (part == URL_COOKIE) {
        return decode(find_pair(text, ";", name), false, false, arena, ret_part);
    }
    struct text authority;
    struct text rest = split_authority(text, &authority);
    switch (part) {
    case URL_HOST:
        return host_of(authority, arena, ret_part);
    case URL_QUERY:
        return decode(find_pair(query_of(rest), "&;", name), true, false, arena, ret_part);
    default:
        rest.length = find_any(rest, "?#");
        rest = rest.length == 0 ? (struct text){"/", 1} : rest;
        return decode(rest, false, true, arena, ret_part);
    }
}
