/*
 * Named arrays of floats in the safetensors format: 8 bytes of length, a JSON header, then the data
 * (github.com/huggingface/safetensors). Only type F32 is read.
 */
#ifndef MODELS_TENSOR_FILE_H
#define MODELS_TENSOR_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define TENSOR_DIMENSIONS_MAX 4

struct tensor {
    const char *name; /* Owned by the file; borrowed where one is written. */
    uint32_t dimension_count;
    uint64_t shape[TENSOR_DIMENSIONS_MAX];
    uint64_t count;    /* Of elements. */
    const float *data; /* In the file's memory. */
};

struct tensor_file;

/*
 * Refuses, naming file and tensor: damaged headers, overlapping or missing data, bytes of no
 * tensor, other types, NaN, more than 256 MiB.
 */
MUST_CHECK enum status tensor_file_load(const char *path, struct tensor_file **ret_file,
                                        struct error *error);
void tensor_file_unload(struct tensor_file *file); /* NULL is a no-op. */

/* The tensor of that name, or NULL. */
const struct tensor *tensor_file_find(const struct tensor_file *file, const char *name);

/* Hash of all bytes of the file. */
uint64_t tensor_file_hash(const struct tensor_file *file);

/* Writes a file of `count` tensors; their names must be plain words. */
MUST_CHECK enum status tensor_file_write(const char *path, const struct tensor *tensors,
                                         uint32_t count, struct error *error);

#endif
