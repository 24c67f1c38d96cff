#include "models/tensor_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/base/hash.h"
#include "pipeline/config/yaml.h"

#define FILE_BYTES_MAX (1ull << 28) /* As much as a file of trees may have. */
#define HEADER_BYTES_MAX (1u << 24)
#define TENSORS_MAX 4096u
#define HEADER_WRITTEN_MAX 32768u
#define TENSOR_LINE_MAX 320u /* In a header that is written; names are of 128 bytes at most. */

struct tensor_file {
    unsigned char *bytes; /* Owned: the whole file. */
    size_t length;
    struct tensor *tensors; /* Owned. */
    uint32_t count;
};

static enum status read_file(const char *path, struct tensor_file *file, struct error *error)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    enum status status = STATUS_OK;
    struct stat found;
    if (fstat(fileno(stream), &found) != 0) {
        status = error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(found.st_mode)) {
        status = error_set(error, STATUS_INVALID, "%s: a file expected", path);
    } else if (found.st_size < 8 || (unsigned long long)found.st_size > FILE_BYTES_MAX) {
        status = error_set(error, STATUS_INVALID,
                           "%s: %lld bytes; a safetensors file of 8 to %llu expected", path,
                           (long long)found.st_size, FILE_BYTES_MAX);
    }
    if (status == STATUS_OK) {
        file->length = (size_t)found.st_size;
        file->bytes = malloc(file->length);
        if (!file->bytes) {
            status = error_set(error, STATUS_FATAL, "%s: out of memory", path);
        } else if (fread(file->bytes, 1, file->length, stream) != file->length) {
            status = error_set(error, STATUS_INVALID, "%s: cannot be read whole", path);
        }
    }
    (void)fclose(stream);
    return status;
}

static enum status refuse(const char *path, const struct yaml_node *node, const char *what,
                          struct error *error)
{
    return error_set(error, STATUS_INVALID, "%s: tensor %s: %s", path, node->key, what);
}

static enum status read_shape(const char *path, const struct yaml_node *node, struct tensor *tensor,
                              struct error *error)
{
    const struct yaml_node *shape = yaml_find(node, "shape");
    if (!shape || shape->kind != YAML_SEQUENCE || shape->child_count > TENSOR_DIMENSIONS_MAX) {
        return refuse(path, node, "shape of at most 4 dimensions expected", error);
    }
    tensor->count = 1;
    tensor->dimension_count = (uint32_t)shape->child_count;
    for (size_t i = 0; i < shape->child_count; i++) {
        int64_t extent;
        if (yaml_integer(&shape->children[i], &extent, NULL) != STATUS_OK || extent < 0 ||
            extent > INT32_MAX) {
            return refuse(path, node, "shape: a number of elements expected", error);
        }
        tensor->shape[i] = (uint64_t)extent;
        if (extent > 0 && tensor->count > FILE_BYTES_MAX / (uint64_t)extent) {
            return refuse(path, node, "shape: more elements than the file can hold", error);
        }
        tensor->count *= (uint64_t)extent;
    }
    return STATUS_OK;
}

static enum status read_tensor(const char *path, const struct yaml_node *node, size_t data_start,
                               struct tensor_file *file, struct tensor *tensor, struct error *error)
{
    const struct yaml_node *type = yaml_find(node, "dtype");
    if (!type || type->kind != YAML_SCALAR || strcmp(type->scalar, "F32") != 0) {
        return refuse(path, node, "dtype F32 expected", error);
    }
    enum status status = read_shape(path, node, tensor, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct yaml_node *offsets = yaml_find(node, "data_offsets");
    int64_t from;
    int64_t to;
    if (!offsets || offsets->child_count != 2 ||
        yaml_integer(&offsets->children[0], &from, NULL) != STATUS_OK ||
        yaml_integer(&offsets->children[1], &to, NULL) != STATUS_OK || from < 0 || to < from ||
        (uint64_t)to > file->length - data_start) {
        return refuse(path, node, "data_offsets: a range inside the file expected", error);
    }
    if ((uint64_t)(to - from) != tensor->count * sizeof(float) ||
        (data_start + (size_t)from) % sizeof(float) != 0) {
        return refuse(path, node, "data_offsets: do not fit the shape", error);
    }
    tensor->data = (const float *)(const void *)(file->bytes + data_start + (size_t)from);
    for (uint64_t i = 0; i < tensor->count; i++) {
        if (!isfinite(tensor->data[i])) {
            return refuse(path, node, "a value that is not finite", error);
        }
    }
    tensor->name = strdup(node->key);
    return tensor->name ? STATUS_OK : error_set(error, STATUS_FATAL, "%s: out of memory", path);
}

/* Where no two overlap, that says that there is nothing between them and behind, as the format
 * asks. */
static enum status check_length(const char *path, const struct tensor_file *file, size_t data_start,
                                struct error *error)
{
    uint64_t expected = data_start;
    for (uint32_t i = 0; i < file->count; i++) {
        expected += file->tensors[i].count * sizeof(float);
    }
    return expected >= file->length
               ? STATUS_OK
               : error_set(error, STATUS_INVALID,
                           "%s: %zu bytes, of which its tensors are no more than %" PRIu64, path,
                           file->length, expected);
}

static enum status read_header(const char *path, struct tensor_file *file, struct error *error)
{
    uint64_t header_bytes;
    memcpy(&header_bytes, file->bytes, sizeof(header_bytes));
    if (header_bytes > HEADER_BYTES_MAX || header_bytes > file->length - 8) {
        return error_set(error, STATUS_INVALID, "%s: header of %" PRIu64 " bytes in %zu", path,
                         header_bytes, file->length);
    }
    struct yaml_document *document;
    enum status status =
        yaml_parse(path, (const char *)file->bytes + 8, (size_t)header_bytes, &document, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct yaml_node *root = yaml_root(document);
    if (root->kind != YAML_MAPPING || root->child_count > TENSORS_MAX) {
        status =
            error_set(error, STATUS_INVALID, "%s: header: an object of at most %u tensors expected",
                      path, TENSORS_MAX);
    }
    file->tensors = calloc(root->child_count + 1, sizeof(*file->tensors));
    if (status == STATUS_OK && !file->tensors) {
        status = error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    for (size_t i = 0; status == STATUS_OK && i < root->child_count; i++) {
        const struct yaml_node *node = &root->children[i];
        if (strcmp(node->key, "__metadata__") != 0) {
            status = read_tensor(path, node, 8 + (size_t)header_bytes, file,
                                 &file->tensors[file->count++], error);
        }
    }
    yaml_unload(document);
    return status == STATUS_OK ? check_length(path, file, 8 + (size_t)header_bytes, error) : status;
}

/* Two tensors on the same bytes are no mistake that a writer makes. */
static enum status check_overlaps(const char *path, const struct tensor_file *file,
                                  struct error *error)
{
    for (uint32_t i = 0; i < file->count; i++) {
        const struct tensor *a = &file->tensors[i];
        for (uint32_t j = 0; j < i; j++) {
            const struct tensor *b = &file->tensors[j];
            if (a->data < b->data + b->count && b->data < a->data + a->count) {
                return error_set(error, STATUS_INVALID, "%s: tensors %s and %s overlap", path,
                                 a->name, b->name);
            }
        }
    }
    return STATUS_OK;
}

enum status tensor_file_load(const char *path, struct tensor_file **ret_file, struct error *error)
{
    struct tensor_file *file = calloc(1, sizeof(*file));
    if (!file) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    enum status status = read_file(path, file, error);
    if (status == STATUS_OK) {
        status = read_header(path, file, error);
    }
    if (status == STATUS_OK) {
        status = check_overlaps(path, file, error);
    }
    if (status != STATUS_OK) {
        tensor_file_unload(file);
        return status;
    }
    *ret_file = file;
    return STATUS_OK;
}

void tensor_file_unload(struct tensor_file *file)
{
    if (!file) {
        return;
    }
    for (uint32_t i = 0; i < file->count; i++) {
        free((char *)(uintptr_t)file->tensors[i].name);
    }
    free(file->tensors);
    free(file->bytes);
    free(file);
}

const struct tensor *tensor_file_find(const struct tensor_file *file, const char *name)
{
    for (uint32_t i = 0; i < file->count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

uint64_t tensor_file_hash(const struct tensor_file *file)
{
    return hash64((struct text){(const char *)file->bytes, (uint32_t)file->length});
}

static int print_header(char *out, size_t size, const struct tensor *tensors, uint32_t count)
{
    size_t used = 0;
    uint64_t from = 0;
    used += (size_t)snprintf(out, size, "{");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t to = from + tensors[i].count * sizeof(float);
        used += (size_t)snprintf(out + used, size - used, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                                 i ? "," : "", tensors[i].name);
        for (uint32_t d = 0; d < tensors[i].dimension_count; d++) {
            used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, d ? "," : "",
                                     tensors[i].shape[d]);
        }
        used += (size_t)snprintf(out + used, size - used,
                                 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", from, to);
        from = to;
    }
    used += (size_t)snprintf(out + used, size - used, "}");
    while (used % 8 != 0 && used + 1 < size) {
        out[used++] = ' '; /* The data start aligned. */
    }
    return (int)used;
}

enum status tensor_file_write(const char *path, const struct tensor *tensors, uint32_t count,
                              struct error *error)
{
    char header[HEADER_WRITTEN_MAX];
    if (count > sizeof(header) / TENSOR_LINE_MAX) {
        return error_set(error, STATUS_INVALID, "%s: %u tensors: too many to write", path, count);
    }
    uint64_t header_bytes = (uint64_t)print_header(header, sizeof(header), tensors, count);
    FILE *stream = fopen(path, "wb");
    if (!stream) {
        return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
    }
    bool is_written = fwrite(&header_bytes, sizeof(header_bytes), 1, stream) == 1 &&
                      fwrite(header, 1, (size_t)header_bytes, stream) == header_bytes;
    for (uint32_t i = 0; is_written && i < count; i++) {
        is_written =
            fwrite(tensors[i].data, sizeof(float), tensors[i].count, stream) == tensors[i].count;
    }
    is_written = is_written && fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    is_written = fclose(stream) == 0 && is_written;
    return is_written ? STATUS_OK : error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}
