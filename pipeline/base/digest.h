/* Length and SHA-256 of bytes that come piece by piece and are not kept. */
#ifndef PIPELINE_BASE_DIGEST_H
#define PIPELINE_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

struct digest {
    uint64_t length;
    char sha256[65]; /* Lower-case hexadecimal, terminated. */
};

struct digest_stream {
    crypto_hash_sha256_state state;
    uint64_t length;
};

void digest_begin(struct digest_stream *stream);
void digest_add(struct digest_stream *stream, const void *bytes, size_t length);
/* The stream has to begin again afterwards. */
void digest_end(struct digest_stream *stream, struct digest *ret_digest);

/* Of bytes that are all there. */
void digest_of(const void *bytes, size_t length, struct digest *ret_digest);

#endif
