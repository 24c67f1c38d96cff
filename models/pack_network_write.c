#include "models/pack_network_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "models/network_read.h"

/* Tables, the cell's four, four a layer, three of quantiles. */
#define TENSORS_MAX (TRAIN_EMBEDDINGS_MAX + 4 + 4 * NETWORK_LAYERS_MAX + 3)

struct tensor_list {
    const struct network_fit *fit;
    struct network_tensor made[TENSORS_MAX]; /* Their names. */
    struct tensor tensors[TENSORS_MAX];
    uint32_t count;
};

static enum status add_tensor(void *context, const struct network_tensor *tensor,
                              struct error *error)
{
    (void)error;
    struct tensor_list *list = context;
    struct network_tensor *made = &list->made[list->count];
    *made = *tensor;
    list->tensors[list->count++] =
        (struct tensor){.name = made->name,
                        .dimension_count = made->dimension_count,
                        .shape = {made->dimensions[0], made->dimensions[1]},
                        .count = made->count,
                        .data = list->fit->parameters + made->place};
    return STATUS_OK;
}

static void add_quantiles(struct tensor_list *list, const struct pack_quantiles *quantiles)
{
    const char *const names[] = {"p50", "p99", "p999"};
    const float *const values[] = {quantiles->p50, quantiles->p99, quantiles->p999};
    for (int i = 0; i < 3; i++) {
        list->tensors[list->count++] = (struct tensor){.name = names[i],
                                                       .dimension_count = 1,
                                                       .shape = {list->fit->feature_count},
                                                       .count = list->fit->feature_count,
                                                       .data = values[i]};
    }
}

/* The lines of the manifest that say the shape; to be freed. */
static char *print_shape(const struct network_fit *fit, const char *const *names)
{
    char *lines = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&lines, &length);
    if (!out) {
        return NULL;
    }
    network_shape_print(&fit->shape, names, out);
    if (fclose(out) != 0) {
        free(lines);
        return NULL;
    }
    return lines;
}

enum status pack_network_write(const char *directory, const struct pack_text *text,
                               const struct network_fit *fit,
                               const struct pack_quantiles *quantiles, struct error *error)
{
    static const char *const kinds[] = {"mlp", "gru", "lstm"};
    const char *names[PACK_FEATURES_MAX];
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        names[i] = fit->features[i].name;
    }
    char *lines = print_shape(fit, names);
    struct tensor_list *list = calloc(1, sizeof(*list));
    enum status status =
        lines && list ? STATUS_OK : error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    if (status == STATUS_OK) {
        list->fit = fit;
        status = network_shape_tensors(&fit->shape, names, add_tensor, list, error);
    }
    if (status == STATUS_OK) {
        add_quantiles(list, quantiles);
        struct pack_metric metrics[4 + HELD_METRICS] = {{"fit_rows", fit->fit_rows},
                                                        {"held_rows", fit->held_rows},
                                                        {"epoch", fit->best_epoch},
                                                        {"fit_loss", fit->fit_loss}};
        const struct pack_content content = {
            .kind = kinds[fit->shape.cell],
            .lines = lines,
            .features = fit->features,
            .feature_count = fit->feature_count,
            .has_scales = true,
            .calibration = &fit->calibration,
            .threshold = fit->threshold,
            .metrics = metrics,
            .metric_count = 4 + (fit->is_measured ? pack_held_metrics(&fit->held, metrics + 4) : 0),
            .tensors = list->tensors,
            .tensor_count = list->count,
        };
        status = pack_write_content(directory, text, &content, error);
    }
    free(lines);
    free(list);
    return status;
}
