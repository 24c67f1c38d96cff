/* Where a training of a network stands, as a file: numbers and four arrays. */
#include "models/checkpoint_file.h"
#include "models/train_network_internal.h"

#define PARTS 5u

struct checkpoint_numbers {
    uint64_t steps;
    double first_power, second_power, best_loss, fit_loss, best_fit_loss;
    uint32_t epoch, best_epoch, waited, rest;
};

static void list_parts(struct checkpoint_numbers *numbers, const struct train_progress *p,
                       struct checkpoint_part parts[PARTS])
{
    float *const arrays[] = {p->parameters, p->best, p->optimizer.first, p->optimizer.second};
    parts[0] = (struct checkpoint_part){numbers, sizeof(*numbers)};
    for (uint32_t i = 1; i < PARTS; i++) {
        parts[i] = (struct checkpoint_part){arrays[i - 1], p->count * sizeof(float)};
    }
}

enum status checkpoint_write(const char *path, uint64_t hash, const struct train_progress *p,
                             struct error *error)
{
    struct checkpoint_numbers numbers = {.steps = p->optimizer.steps,
                                         .first_power = p->optimizer.first_power,
                                         .second_power = p->optimizer.second_power,
                                         .best_loss = p->best_loss,
                                         .fit_loss = p->fit_loss,
                                         .best_fit_loss = p->best_fit_loss,
                                         .epoch = p->epoch,
                                         .best_epoch = p->best_epoch,
                                         .waited = p->waited};
    struct checkpoint_part parts[PARTS];
    list_parts(&numbers, p, parts);
    return checkpoint_file_write(path, hash, parts, PARTS, error);
}

enum status checkpoint_read(const char *path, uint64_t hash, struct train_progress *p,
                            struct error *error)
{
    struct checkpoint_numbers numbers;
    struct checkpoint_part parts[PARTS];
    bool is_there;
    list_parts(&numbers, p, parts);
    enum status status = checkpoint_file_read(path, hash, parts, PARTS, &is_there, error);
    if (status != STATUS_OK || !is_there) {
        return status;
    }
    p->optimizer.steps = numbers.steps;
    p->optimizer.first_power = numbers.first_power;
    p->optimizer.second_power = numbers.second_power;
    p->best_loss = numbers.best_loss;
    p->fit_loss = numbers.fit_loss;
    p->best_fit_loss = numbers.best_fit_loss;
    p->epoch = numbers.epoch;
    p->best_epoch = numbers.best_epoch;
    p->waited = numbers.waited;
    return STATUS_OK;
}
