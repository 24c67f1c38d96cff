#include "models/model_device.h"

#include <stddef.h>
#include <stdio.h>

#include "models/backend_cuda.h"
#include "models/pack_kind.h"
#include "models/pack_mean.h"

static const char *const device_names[] = {"auto", "cpu", "cuda", NULL};

#define OPTION(member) offsetof(struct model_device_options, member)
static const struct setting settings[] = {
    {.name = "device",
     .type = SETTING_CHOICE,
     .offset = OPTION(device),
     .fallback = "auto",
     .choices = device_names,
     .doc = "What scores trees and neural networks: cpu, a GPU (cuda) that must be there, or with "
            "auto a GPU where there is one, for batches that it is faster at. Scores are the same "
            "bit by bit"},
    {.name = "cuda_plugin",
     .type = SETTING_PATH,
     .offset = OPTION(cuda_plugin),
     .doc = "The library that knows the GPU; by default libnudge_cuda.so beside the program or on "
            "the loader's path"},
    {.name = "cuda_rows",
     .type = SETTING_INTEGER,
     .offset = OPTION(cuda_rows),
     .fallback = "0",
     .max = 1000000,
     .doc = "Fewest events of a batch that are sent to the GPU; 0: with cuda all, with auto as "
            "many as it was measured to be faster at when the model was loaded"},
};

const struct setting_section model_device_section = {
    .name = "models",
    .doc = "What models are scored on",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct model_device_options),
};

static bool has_use(const struct model_pack *pack)
{
    if (pack->kind == &pack_kind_mean) {
        const struct pack_mean *mean = pack->body;
        for (uint32_t i = 0; i < mean->count; i++) {
            if (has_use(mean->packs[i])) {
                return true;
            }
        }
    }
    for (const struct model_loader *loader = backend_cuda.loaders; loader->kind; loader++) {
        if (loader->kind == pack->kind) {
            return true;
        }
    }
    return false;
}

enum status model_device_choose(const struct model_device_options *options,
                                const struct model_pack *const *packs, size_t count,
                                struct model_device_choice *ret_choice, struct error *error)
{
    *ret_choice = (struct model_device_choice){0};
    char *why = ret_choice->why;
    bool is_required = options->device == MODEL_DEVICE_CUDA;
    bool is_useful = false;
    for (size_t i = 0; i < count; i++) {
        is_useful = is_useful || (packs[i] && has_use(packs[i]));
    }
    if (options->device == MODEL_DEVICE_CPU || (!is_useful && !is_required)) {
        (void)snprintf(why, MODEL_DEVICE_WHY_BYTES, "cpu: %s",
                       is_useful ? "models.device says so" : "no trees or networks to score");
        return STATUS_OK;
    }
    struct error problem = {""};
    enum status status = backend_cuda_open(options->cuda_plugin, &problem);
    if (status != STATUS_OK && is_required) {
        return error_set(error, STATUS_INVALID, "models.device: cuda: %s", problem.message);
    }
    if (status != STATUS_OK) {
        (void)snprintf(why, MODEL_DEVICE_WHY_BYTES, "cpu: %s", problem.message);
        return STATUS_OK;
    }
    uint32_t rows_min = options->cuda_rows == 0 && is_required ? 1 : (uint32_t)options->cuda_rows;
    backend_cuda_configure(is_required, rows_min);
    struct cuda_facts facts;
    backend_cuda_facts(&facts);
    ret_choice->is_cuda = true;
    (void)snprintf(why, MODEL_DEVICE_WHY_BYTES, "cuda: %s, %s", facts.device,
                   is_required ? "models.device says so" : "found, for batches it is faster at");
    return STATUS_OK;
}
