#include "pipeline/source/gunzip.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include <zlib.h>

enum gunzip_state {
    GUNZIP_BETWEEN, /* The next byte starts a member, or is zero padding. */
    GUNZIP_IN_MEMBER,
    GUNZIP_SEARCHING, /* After damage: looking for the first bytes of a member. */
    GUNZIP_REPORTING, /* Damage is known, but output that came before it went out first. */
};

struct gunzip {
    z_stream zlib;
    enum gunzip_state state;
    unsigned matched; /* Bytes of the magic number seen while searching. */
};

static const unsigned char magic[3] = {0x1f, 0x8b, 0x08};

struct gunzip *gunzip_create(void)
{
    struct gunzip *gunzip = calloc(1, sizeof(*gunzip));
    /* 16: a gzip header and trailer are expected, and the checksum is verified. */
    if (gunzip && inflateInit2(&gunzip->zlib, MAX_WBITS + 16) != Z_OK) {
        free(gunzip);
        return NULL;
    }
    return gunzip;
}

void gunzip_destroy(struct gunzip *gunzip)
{
    if (gunzip) {
        (void)inflateEnd(&gunzip->zlib);
        free(gunzip);
    }
}

bool gunzip_is_between_members(const struct gunzip *gunzip)
{
    return gunzip->state == GUNZIP_BETWEEN || gunzip->state == GUNZIP_SEARCHING;
}

/* `input`: the magic number where the search has eaten it; may be empty. */
static void begin_member(struct gunzip *gunzip, const unsigned char *input, size_t length)
{
    (void)inflateReset(&gunzip->zlib);
    gunzip->state = GUNZIP_IN_MEMBER;
    if (length == 0) {
        return;
    }
    unsigned char nothing;
    gunzip->zlib.next_in = (z_const Bytef *)(uintptr_t)input;
    gunzip->zlib.avail_in = (uInt)length;
    gunzip->zlib.next_out = &nothing;
    gunzip->zlib.avail_out = 0;
    (void)inflate(&gunzip->zlib, Z_NO_FLUSH);
}

/* Uses bytes up to the end of the next magic number. */
static size_t search_member(struct gunzip *gunzip, const unsigned char *input, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (input[i] == magic[gunzip->matched]) {
            gunzip->matched++;
        } else {
            gunzip->matched = input[i] == magic[0];
        }
        if (gunzip->matched == sizeof(magic)) {
            begin_member(gunzip, magic, sizeof(magic));
            return i + 1;
        }
    }
    return length;
}

static enum gunzip_result damaged(struct gunzip *gunzip, size_t written)
{
    gunzip->matched = 0;
    gunzip->state = written > 0 ? GUNZIP_REPORTING : GUNZIP_SEARCHING;
    return written > 0 ? GUNZIP_OK : GUNZIP_DAMAGED;
}

static enum gunzip_result inflate_member(struct gunzip *gunzip, const unsigned char *input,
                                         size_t length, void *output, size_t room, size_t *ret_used,
                                         size_t *ret_written)
{
    z_stream *zlib = &gunzip->zlib;
    uInt offered = length > UINT_MAX ? UINT_MAX : (uInt)length;
    uInt space = room > UINT_MAX ? UINT_MAX : (uInt)room;
    zlib->next_in = (z_const Bytef *)(uintptr_t)input;
    zlib->avail_in = offered;
    zlib->next_out = output;
    zlib->avail_out = space;
    int result = inflate(zlib, Z_NO_FLUSH);
    *ret_used = offered - zlib->avail_in;
    *ret_written = space - zlib->avail_out;
    switch (result) {
    case Z_STREAM_END:
        gunzip->state = GUNZIP_BETWEEN;
        return GUNZIP_OK;
    case Z_OK:
    case Z_BUF_ERROR: /* No progress without more input: not an error. */
        return GUNZIP_OK;
    case Z_MEM_ERROR:
        return GUNZIP_NO_MEMORY;
    default: /* Z_DATA_ERROR, Z_NEED_DICT */
        return damaged(gunzip, *ret_written);
    }
}

enum gunzip_result gunzip_step(struct gunzip *gunzip, const unsigned char *input, size_t length,
                               void *output, size_t room, size_t *ret_used, size_t *ret_written)
{
    assert(room > 0);
    *ret_used = 0;
    *ret_written = 0;
    switch (gunzip->state) {
    case GUNZIP_REPORTING:
        gunzip->state = GUNZIP_SEARCHING;
        return GUNZIP_DAMAGED;
    case GUNZIP_SEARCHING:
        *ret_used = search_member(gunzip, input, length);
        return GUNZIP_OK;
    case GUNZIP_BETWEEN:
        if (length == 0) {
            return GUNZIP_OK;
        }
        if (input[0] == 0) { /* Padding, as tapes and some tools leave it. */
            *ret_used = 1;
            return GUNZIP_OK;
        }
        begin_member(gunzip, input, 0);
        break;
    case GUNZIP_IN_MEMBER:
        break;
    }
    return inflate_member(gunzip, input, length, output, room, ret_used, ret_written);
}
