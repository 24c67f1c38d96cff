#include "pipeline/run/key_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 4096

static enum status derive(const char *place, const char *secret, size_t length,
                          struct pseudonym_key *ret_key, struct error *error)
{
    if (length < SECRET_BYTES_MIN) {
        return error_set(error, STATUS_INVALID, "%s: a secret of %d to %d bytes expected, has %zu",
                         place, SECRET_BYTES_MIN, SECRET_BYTES_MAX, length);
    }
    if (length > SECRET_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: a secret of %d to %d bytes expected, has more",
                         place, SECRET_BYTES_MIN, SECRET_BYTES_MAX);
    }
    (void)crypto_generichash(ret_key->bytes, sizeof(ret_key->bytes), (const unsigned char *)secret,
                             length, NULL, 0);
    return STATUS_OK;
}

/* An editor's line end is no part of the secret, so that file and environment give one key. */
static size_t without_line_end(const char *secret, size_t length)
{
    length -= length > 0 && secret[length - 1] == '\n';
    length -= length > 0 && secret[length - 1] == '\r';
    return length;
}

enum status key_file_read(const char *file, const char *variable, struct pseudonym_key *ret_key,
                          bool *ret_is_own, struct error *error)
{
    if (file) {
        char secret[SECRET_BYTES_MAX + 1];
        FILE *stream = fopen(file, "rb");
        if (!stream) {
            return error_set(error, STATUS_INVALID, "%s: %s", file, strerror(errno));
        }
        size_t length = fread(secret, 1, sizeof(secret), stream);
        bool is_read = !ferror(stream);
        int cause = errno;
        (void)fclose(stream);
        length = without_line_end(secret, length);
        *ret_is_own = true;
        enum status status =
            is_read ? derive(file, secret, length, ret_key, error)
                    : error_set(error, STATUS_INVALID, "%s: %s", file, strerror(cause));
        sodium_memzero(secret, sizeof(secret));
        return status;
    }
    if (variable) {
        const char *secret = getenv(variable);
        if (!secret) {
            return error_set(error, STATUS_INVALID,
                             "\"%s\": no environment variable of this name is set", variable);
        }
        *ret_is_own = true;
        return derive(variable, secret, strlen(secret), ret_key, error);
    }
    *ret_key = (struct pseudonym_key){"nudge public key"};
    *ret_is_own = false;
    return STATUS_OK;
}
