#include "pipeline/base/digest.h"

void digest_begin(struct digest_stream *stream)
{
    (void)crypto_hash_sha256_init(&stream->state);
    stream->length = 0;
}

void digest_add(struct digest_stream *stream, const void *bytes, size_t length)
{
    if (length > 0) {
        (void)crypto_hash_sha256_update(&stream->state, bytes, length);
        stream->length += length;
    }
}

void digest_end(struct digest_stream *stream, struct digest *ret_digest)
{
    unsigned char bytes[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_final(&stream->state, bytes);
    (void)sodium_bin2hex(ret_digest->sha256, sizeof(ret_digest->sha256), bytes, sizeof(bytes));
    ret_digest->length = stream->length;
}

void digest_of(const void *bytes, size_t length, struct digest *ret_digest)
{
    struct digest_stream stream;
    digest_begin(&stream);
    digest_add(&stream, bytes, length);
    digest_end(&stream, ret_digest);
}
