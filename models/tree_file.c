#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "models/import_lightgbm.h"
#include "models/import_xgboost.h"
#include "models/tree_layout.h"
#include "pipeline/base/hash.h"

static bool starts_with(const unsigned char *bytes, size_t length, const char *start)
{
    size_t start_length = strlen(start);
    return length >= start_length && memcmp(bytes, start, start_length) == 0;
}

/* XGBoost's UBJSON starts with a brace too, but a length follows it there. */
static bool is_json(const unsigned char *bytes, size_t length)
{
    size_t i = 1;
    while (i < length && isspace(bytes[i])) {
        i++;
    }
    return i < length && (bytes[i] == '"' || bytes[i] == '}');
}

static enum status refuse_others(const char *name, const unsigned char *bytes, size_t length,
                                 struct error *error)
{
    if (length >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5) {
        return error_set(error, STATUS_INVALID,
                         "%s: a Python pickle, which can run any program when it is read; save the "
                         "model with save_model(\"model.json\") (XGBoost) or "
                         "save_model(\"model.txt\") (LightGBM)",
                         name);
    }
    if (starts_with(bytes, length, "binf") || starts_with(bytes, length, "CONFIG-offset:")) {
        return error_set(error, STATUS_INVALID,
                         "%s: XGBoost's old binary format, which its maker has given up; load it "
                         "with the XGBoost that wrote it and call save_model(\"model.json\")",
                         name);
    }
    return error_set(error, STATUS_INVALID,
                     "%s: a model of XGBoost (JSON or UBJSON) or LightGBM (text) expected; what "
                     "older XGBoosts wrote as .model or .bin, load there and call "
                     "save_model(\"model.json\")",
                     name);
}

static enum status read_by_kind(const char *name, const void *bytes, size_t length,
                                struct tree_ensemble **ret_ensemble, struct error *error)
{
    const unsigned char *first = bytes;
    size_t rest = length;
    while (rest > 0 && isspace(*first)) {
        first++;
        rest--;
    }
    if (rest > 0 && *first == '{') {
        return is_json(first, rest)
                   ? import_xgboost_json(name, (const char *)first, rest, ret_ensemble, error)
                   : import_xgboost_ubjson(name, first, rest, ret_ensemble, error);
    }
    if (starts_with(first, rest, "tree\n") || starts_with(first, rest, "tree\r\n")) {
        return import_lightgbm(name, (const char *)first, rest, ret_ensemble, error);
    }
    return refuse_others(name, first, rest, error);
}

enum status tree_ensemble_read(const char *name, const void *bytes, size_t length,
                               struct tree_ensemble **ret_ensemble, struct error *error)
{
    if (length > TREE_FILE_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: %zu bytes; at most %u expected", name, length,
                         TREE_FILE_BYTES_MAX);
    }
    enum status status = read_by_kind(name, bytes, length, ret_ensemble, error);
    if (status == STATUS_OK) {
        (*ret_ensemble)->facts.hash = hash64((struct text){bytes, (uint32_t)length});
    }
    return status;
}

static enum status read_stream(const char *path, FILE *stream, struct tree_ensemble **ret_ensemble,
                               struct error *error)
{
    struct stat info;
    if (fstat(fileno(stream), &info) != 0) {
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(error, STATUS_INVALID, "%s: a file expected", path);
    }
    if (info.st_size <= 0 || (uint64_t)info.st_size > TREE_FILE_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "%s: %lld bytes; 1 to %u expected", path,
                         (long long)info.st_size, TREE_FILE_BYTES_MAX);
    }
    size_t length = (size_t)info.st_size;
    char *bytes = malloc(length);
    if (!bytes) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    enum status status = fread(bytes, 1, length, stream) == length
                             ? tree_ensemble_read(path, bytes, length, ret_ensemble, error)
                             : error_set(error, STATUS_INVALID, "%s: cannot be read whole", path);
    free(bytes);
    return status;
}

enum status tree_ensemble_load(const char *path, struct tree_ensemble **ret_ensemble,
                               struct error *error)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    enum status status = read_stream(path, stream, ret_ensemble, error);
    (void)fclose(stream);
    return status;
}
