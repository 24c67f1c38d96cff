#include "pipeline/wire/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

static enum status keep(const char *setting, const char *from, size_t length, char **ret_secret,
                        struct error *error)
{
    while (length > 0 && is_blank(from[length - 1])) {
        length--;
    }
    while (length > 0 && is_blank(*from)) {
        from++;
        length--;
    }
    if (length == 0 || length > SECRET_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: 1 to %d bytes expected, has %zu", setting,
                         SECRET_BYTES_MAX, length);
    }
    for (size_t i = 0; i < length; i++) {
        /* A line end in a header would begin another header. */
        if ((unsigned char)from[i] < 0x20 || from[i] == 0x7f) {
            return error_set(error, STATUS_INVALID, "%s: has a control character", setting);
        }
    }
    char *secret = strndup(from, length);
    if (!secret) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", setting);
    }
    *ret_secret = secret;
    return STATUS_OK;
}

static enum status read_file(const char *setting, const char *path, char **ret_secret,
                             struct error *error)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return error_set(error, STATUS_INVALID, "%s_file: %s: %s", setting, path, strerror(errno));
    }
    /* Unbuffered, so that no copy of the secret stays behind in freed memory. */
    (void)setvbuf(file, NULL, _IONBF, 0);
    char bytes[SECRET_BYTES_MAX + 8];
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    enum status status = keep(setting, bytes, length, ret_secret, error);
    sodium_memzero(bytes, sizeof(bytes));
    return status;
}

enum status secret_read(const char *setting, const char *file, const char *variable,
                        char **ret_secret, struct error *error)
{
    if (file && variable) {
        return error_set(error, STATUS_INVALID, "%s: %s_file and %s_env are both given", setting,
                         setting, setting);
    }
    if (file) {
        return read_file(setting, file, ret_secret, error);
    }
    if (!variable) {
        *ret_secret = NULL;
        return STATUS_OK;
    }
    const char *value = getenv(variable);
    if (!value) {
        return error_set(error, STATUS_INVALID, "%s_env: the environment variable %s is not set",
                         setting, variable);
    }
    return keep(setting, value, strlen(value), ret_secret, error);
}

void secret_release(char *secret)
{
    if (secret) {
        sodium_memzero(secret, strlen(secret));
        free(secret);
    }
}
