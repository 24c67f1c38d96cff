/*
 * Any bytes are a tensor file or a message; what is accepted has data inside the file. The input is
 * a file of weights, or, behind the byte M, a manifest beside good weights.
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/pack_kind.h"
#include "models/pack_logistic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64];

static void write_file(const char *name, const void *bytes, size_t length)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    assert(file);
    assert(fwrite(bytes, 1, length, file) == length);
    assert(fclose(file) == 0);
}

static const char manifest[] = "format: 1\nkind: logistic\nname: x\nversion: 1\n"
                               "features: [{name: a}, {name: b}]\n";

static void write_good_weights(void)
{
    static const float values[] = {1, 2, 3};
    struct tensor tensors[] = {
        {.name = "weight", .dimension_count = 1, .shape = {2}, .count = 2, .data = values},
        {.name = "bias", .dimension_count = 1, .shape = {1}, .count = 1, .data = values},
    };
    char path[128];
    struct error error;
    (void)snprintf(path, sizeof(path), "%s/weights.safetensors", directory);
    assert(tensor_file_write(path, tensors, 2, &error) == STATUS_OK);
}

static void make_directory(void)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/nudge-pack-fuzz-%ld", (long)getpid());
    (void)mkdir(directory, 0777);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (directory[0] == '\0') {
        make_directory();
    }
    if (size > 0 && data[0] == 'M') {
        write_file("manifest.yaml", data + 1, size - 1);
        write_good_weights();
    } else {
        write_file("manifest.yaml", manifest, sizeof(manifest) - 1);
        write_file("weights.safetensors", data, size);
    }
    struct model_pack *pack = NULL;
    struct error error = {{0}};
    enum status status = model_pack_load(directory, &pack, &error);
    if (status == STATUS_OK && pack->kind == &pack_kind_logistic) {
        float sum = pack_logistic_of(pack)->bias;
        for (uint32_t i = 0; i < pack->feature_count; i++) {
            sum += pack_logistic_term(pack, i, 1.5f) + pack_logistic_term(pack, i, NAN);
            sum += pack_logistic_term(pack, i, INFINITY);
        }
        assert(!isnan(sum) || pack->feature_count > 0);
        model_pack_unload(pack);
    } else if (status == STATUS_OK) {
        model_pack_unload(pack);
    } else {
        assert(error.message[0] != '\0');
    }
    return 0;
}
