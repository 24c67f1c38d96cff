/* A network goes through its rows, epoch after epoch, until it gets no better. */
#include <math.h>
#include <string.h>

#include "models/train_network_internal.h"

#define TOLD_EACH 16u /* Mini-batches. */

/* ---- Steps ---- */

static float *penalise(struct network_training *training)
{
    const struct network_train_options *options = training->options;
    const float *p = training->progress.parameters;
    float l1 = (float)options->l1;
    float l2 = (float)options->l2;
    double square = 0;
    for (size_t i = 0; i < training->progress.count; i++) {
        float sign = (float)((p[i] > 0) - (p[i] < 0));
        training->gradient[i] += training->decay[i] * (l2 * p[i] + l1 * sign);
        square += (double)training->gradient[i] * (double)training->gradient[i];
    }
    double norm = sqrt(square);
    if (options->clip > 0 && norm > options->clip) {
        float factor = (float)(options->clip / norm);
        for (size_t i = 0; i < training->progress.count; i++) {
            training->gradient[i] *= factor;
        }
    }
    return training->gradient;
}

/* Outputs of a stretch, and what its rows want. */
static void forward(struct network_training *training, const float *weights)
{
    const struct network_stretch *stretch = &training->stretch;
    network_tape_forward(training->tape, training->progress.parameters, &stretch->batch,
                         training->outputs);
    for (uint32_t i = 0; i < stretch->batch.row_count; i++) {
        training->weights[i] = weights[stretch->places[i]];
        training->labels[i] = training->data.labels[stretch->places[i]];
    }
}

static double weight_of(const struct network_training *training, const uint32_t *groups,
                        uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = training->data.first[groups[i]]; j < training->data.first[groups[i] + 1];
             j++) {
            sum += (double)training->data.fit_weights[j];
        }
    }
    return sum;
}

/* One mini-batch, a step down the gradient for each stretch of time; adds to loss and weight. */
static void fit_batch(struct network_training *training, const uint32_t *groups, uint32_t count,
                      double rate, double *loss, double *weight)
{
    const struct network_train_options *options = training->options;
    struct network_stretch *stretch = &training->stretch;
    double batch_weight = weight_of(training, groups, count);
    network_stretch_take(stretch, &training->data, groups, count, training->fit->shape.hidden);
    for (uint32_t step = 0; network_stretch_fill(stretch, &training->data, step);
         step += stretch->steps_max) {
        uint32_t rows = stretch->batch.row_count;
        uint64_t place = training->progress.optimizer.steps;
        stretch->batch.dropout_seed =
            options->dropout > 0 ? train_mixed(options->seed ^ UINT64_C(0xD509), place) | 1 : 0;
        forward(training, training->data.fit_weights);
        *loss += loss_sum(&options->loss, training->outputs, training->labels, training->weights,
                          rows, training->pulls);
        for (uint32_t i = 0; i < rows; i++) {
            training->pulls[i] = (float)((double)training->pulls[i] / batch_weight);
        }
        memset(training->gradient, 0, training->progress.count * sizeof(float));
        network_tape_backward(training->tape, training->progress.parameters, &stretch->batch,
                              training->pulls, training->gradient, NULL);
        network_tape_state(training->tape, &stretch->batch, stretch->h,
                           stretch->has_c ? stretch->c : NULL);
        optimizer_step(&training->progress.optimizer, rate, penalise(training),
                       training->progress.parameters);
    }
    *weight += batch_weight;
}

/* Fills the margins of all rows; returns the mean log loss of the held-out ones, NaN: none. */
static double score_all(struct network_training *training)
{
    static const struct loss entropy = {LOSS_CROSS_ENTROPY, 0};
    struct network_stretch *stretch = &training->stretch;
    double loss = 0;
    double weight = 0;
    uint32_t size = training->options->batch;
    uint32_t *groups = training->order;
    for (uint32_t first = 0; first < training->data.group_count; first += size) {
        uint32_t count = 0;
        while (count < size && first + count < training->data.group_count) {
            groups[count] = first + count;
            count++;
        }
        network_stretch_take(stretch, &training->data, groups, count, training->fit->shape.hidden);
        for (uint32_t step = 0; network_stretch_fill(stretch, &training->data, step);
             step += stretch->steps_max) {
            uint32_t rows = stretch->batch.row_count;
            forward(training, training->data.held_weights);
            network_tape_state(training->tape, &stretch->batch, stretch->h,
                               stretch->has_c ? stretch->c : NULL);
            loss += loss_sum(&entropy, training->outputs, training->labels, training->weights, rows,
                             NULL);
            for (uint32_t i = 0; i < rows; i++) {
                weight += (double)training->weights[i];
                training->margins[stretch->places[i]] = training->outputs[i];
            }
        }
    }
    return weight > 0 ? loss / weight : NAN;
}

/* ---- Epochs ---- */

static void shuffle(struct network_training *training, uint32_t epoch)
{
    uint32_t count = 0;
    for (uint32_t g = 0; g < training->data.group_count; g++) {
        bool is_fitted = false;
        for (uint32_t i = training->data.first[g]; i < training->data.first[g + 1]; i++) {
            is_fitted = is_fitted || training->data.fit_weights[i] > 0;
        }
        if (is_fitted) {
            training->order[count++] = g;
        }
    }
    uint64_t seed = train_mixed(training->options->seed, UINT64_C(0x5EED0000) + epoch);
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = (uint32_t)((train_mixed(seed, i) >> 32) * i >> 32);
        uint32_t kept = training->order[i - 1];
        training->order[i - 1] = training->order[j];
        training->order[j] = kept;
    }
    training->order_count = count;
}

static bool tell(const struct network_training *training, double share, double loss, double held)
{
    const struct network_train_options *options = training->options;
    return !options->progress ||
           options->progress(options->context, training->progress.epoch, share, loss, held);
}

static enum status fit_epoch(struct network_training *training, struct error *error)
{
    const struct network_train_options *options = training->options;
    double loss = 0;
    double weight = 0;
    shuffle(training, training->progress.epoch);
    uint32_t count = training->order_count;
    for (uint32_t first = 0; first < count; first += options->batch) {
        uint32_t size = count - first < options->batch ? count - first : options->batch;
        double share = (training->progress.epoch + (double)first / count) / options->epochs;
        double rate = options->rate * schedule_factor(options->schedule, options->warm_up, share);
        fit_batch(training, training->order + first, size, rate, &loss, &weight);
        if (!isfinite(loss)) {
            return error_set(error, STATUS_FATAL,
                             "training: the loss is not finite any more in epoch %u; a lower rate "
                             "or a clip of the gradient may help",
                             training->progress.epoch + 1);
        }
        bool is_told = first / options->batch % TOLD_EACH == 0;
        if (is_told && !tell(training, (double)first / count, loss / weight, NAN)) {
            return error_set(error, STATUS_FATAL, "training: stopped");
        }
    }
    training->progress.fit_loss = loss / weight;
    return STATUS_OK;
}

static enum status end_epoch(struct network_training *training, struct error *error)
{
    struct train_progress *p = &training->progress;
    double held = score_all(training);
    double judged = isnan(held) ? p->fit_loss : held;
    p->epoch++;
    p->waited++;
    if (isnan(held) || judged < p->best_loss) {
        p->best_loss = judged;
        p->best_fit_loss = p->fit_loss;
        p->best_epoch = p->epoch;
        p->waited = 0;
        memcpy(p->best, p->parameters, p->count * sizeof(float));
    }
    if (training->options->checkpoint) {
        enum status status =
            checkpoint_write(training->options->checkpoint, training->hash, p, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return tell(training, 0, p->fit_loss, held)
               ? STATUS_OK
               : error_set(error, STATUS_FATAL, "training: stopped");
}

enum status network_training_go(struct network_training *training, struct error *error)
{
    const struct network_train_options *options = training->options;
    struct train_progress *p = &training->progress;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && p->epoch < options->epochs &&
           (options->patience == 0 || p->waited < options->patience)) {
        status = fit_epoch(training, error);
        if (status == STATUS_OK) {
            status = end_epoch(training, error);
        }
    }
    if (status == STATUS_OK) {
        memcpy(p->parameters, p->best, p->count * sizeof(float));
        training->fit->epochs = p->epoch;
        training->fit->best_epoch = p->best_epoch;
        training->fit->fit_loss = p->best_fit_loss;
        training->fit->held_loss = score_all(training);
    }
    return status;
}
