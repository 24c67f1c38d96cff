/* Kinds mlp, gru and lstm of fit.h. */
#include "pipeline/run/fit_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps that a progress is told in, of all epochs. */
#define PROGRESS_STEPS 100

struct teller {
    const struct fit_listener *listener;
    uint32_t epochs;
    double loss; /* Of held-out rows once there is one. */
};

static bool tell(void *context, uint32_t epoch, double share, double loss, double held_loss)
{
    struct teller *teller = context;
    if (!isnan(held_loss)) {
        teller->loss = held_loss;
    }
    return !teller->listener->progress ||
           teller->listener->progress(teller->listener->context, epoch, teller->epochs,
                                      (uint32_t)(share * PROGRESS_STEPS),
                                      isnan(teller->loss) ? loss : teller->loss);
}

static void warn(void *context, const char *message)
{
    const struct teller *teller = context;
    if (teller->listener->warn) {
        teller->listener->warn(teller->listener->context, message);
    }
}

double fit_network_steps(void)
{
    return PROGRESS_STEPS;
}

static struct network_train_options make_options(const struct train_config *config)
{
    const struct train_settings *made = &config->settings;
    const struct train_descent_settings *descent = &config->descent;
    const struct train_network *network = &config->network;
    struct network_train_options options = {
        .names = config->names,
        .columns = config->columns,
        .column_count = config->column_count,
        .transform = made->transform - 1,
        .limit = (float)made->limit,
        .cell = network->cell,
        .hidden = network->hidden,
        .layer_count = network->layer_count,
        .embedding_count = network->embedding_count,
        .loss = {(enum loss_kind)descent->loss, descent->focus},
        .optimizer = (enum optimizer_kind)descent->optimizer,
        .rate = descent->rate,
        .momentum = descent->momentum,
        .decay = descent->decay,
        .schedule = (enum schedule_kind)descent->schedule,
        .warm_up = descent->warm_up,
        .start = (enum network_start)descent->start,
        .epochs = (uint32_t)descent->epochs,
        .batch = (uint32_t)descent->batch,
        .steps = (uint32_t)descent->steps,
        .patience = (uint32_t)descent->patience,
        .l1 = made->l1,
        .l2 = descent->l2,
        .dropout = descent->dropout,
        .clip = descent->clip,
        .positive_weight = made->positive_weight,
        .seed = (uint64_t)made->seed,
        .calibration = (enum calibration_method)made->calibration,
    };
    memcpy(options.layers, network->layers, sizeof(options.layers));
    memcpy(options.embeddings, network->embeddings, sizeof(options.embeddings));
    return options;
}

enum status fit_network_make(const struct train_config *config, const struct row_table *table,
                             const uint8_t *parts, const struct fit_listener *listener,
                             struct network_fit *ret_fit, struct error *error)
{
    struct network_train_options options = make_options(config);
    struct teller teller = {listener, options.epochs, NAN};
    /* The folds of a cross-validation are told to nobody, and have no checkpoint. */
    options.checkpoint = listener->progress ? config->descent.checkpoint : NULL;
    options.progress = tell;
    options.warn = warn;
    options.context = &teller;
    return train_network(table, parts, &options, ret_fit, error);
}

enum status fit_network_logits(const struct network_fit *fit, const struct row_table *table,
                               const uint32_t *chosen, uint32_t count, float *logits,
                               struct error *error)
{
    float *all = calloc((size_t)table->count + 1, sizeof(*all));
    enum status status = all ? network_fit_logits(fit, table, all, error)
                             : error_set(error, STATUS_FATAL, "training: out of memory");
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        logits[i] = all[chosen[i]];
    }
    free(all);
    return status;
}
