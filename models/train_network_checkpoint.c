/* Where a training stands, as a file: numbers, four arrays, and a checksum. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/train_network_internal.h"
#include "pipeline/base/hash.h"

#define MAGIC "nudgeck1"
#define PATH_BYTES 4096

struct checkpoint_head {
    char magic[8];
    uint64_t training, count, steps, body;
    double first_power, second_power, best_loss, fit_loss, best_fit_loss;
    uint32_t epoch, best_epoch, waited, rest;
};

static uint64_t hash_body(const struct train_progress *p)
{
    const float *const arrays[] = {p->parameters, p->best, p->optimizer.first, p->optimizer.second};
    uint64_t hash = 0;
    for (int i = 0; i < 4; i++) {
        hash = hash64_combine(hash, hash64((struct text){(const char *)arrays[i],
                                                         (uint32_t)(p->count * sizeof(float))}));
    }
    return hash;
}

static bool write_all(const char *path, const struct checkpoint_head *head,
                      const struct train_progress *p)
{
    const float *const arrays[] = {p->parameters, p->best, p->optimizer.first, p->optimizer.second};
    FILE *out = fopen(path, "wb");
    if (!out) {
        return false;
    }
    bool is_written = fwrite(head, sizeof(*head), 1, out) == 1;
    for (int i = 0; is_written && i < 4; i++) {
        is_written = fwrite(arrays[i], sizeof(float), p->count, out) == p->count;
    }
    is_written = is_written && fflush(out) == 0 && fsync(fileno(out)) == 0;
    return fclose(out) == 0 && is_written;
}

enum status checkpoint_write(const char *path, uint64_t hash, const struct train_progress *p,
                             struct error *error)
{
    char made[PATH_BYTES];
    if (snprintf(made, sizeof(made), "%s.new", path) >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%.80s...: path too long", path);
    }
    struct checkpoint_head head = {.magic = MAGIC,
                                   .training = hash,
                                   .count = p->count,
                                   .steps = p->optimizer.steps,
                                   .body = hash_body(p),
                                   .first_power = p->optimizer.first_power,
                                   .second_power = p->optimizer.second_power,
                                   .best_loss = p->best_loss,
                                   .fit_loss = p->fit_loss,
                                   .best_fit_loss = p->best_fit_loss,
                                   .epoch = p->epoch,
                                   .best_epoch = p->best_epoch,
                                   .waited = p->waited};
    if (!write_all(made, &head, p) || rename(made, path) != 0) {
        enum status status = error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
        (void)unlink(made);
        return status;
    }
    return STATUS_OK;
}

static enum status read_body(const char *path, FILE *in, const struct checkpoint_head *head,
                             struct train_progress *p, struct error *error)
{
    float *const arrays[] = {p->parameters, p->best, p->optimizer.first, p->optimizer.second};
    for (int i = 0; i < 4; i++) {
        if (fread(arrays[i], sizeof(float), p->count, in) != p->count) {
            return error_set(error, STATUS_INVALID, "%s: cut short; remove it to start anew", path);
        }
    }
    if (head->body != hash_body(p)) {
        return error_set(error, STATUS_INVALID, "%s: damaged; remove it to start anew", path);
    }
    p->optimizer.steps = head->steps;
    p->optimizer.first_power = head->first_power;
    p->optimizer.second_power = head->second_power;
    p->best_loss = head->best_loss;
    p->fit_loss = head->fit_loss;
    p->best_fit_loss = head->best_fit_loss;
    p->epoch = head->epoch;
    p->best_epoch = head->best_epoch;
    p->waited = head->waited;
    return STATUS_OK;
}

enum status checkpoint_read(const char *path, uint64_t hash, struct train_progress *p,
                            struct error *error)
{
    FILE *in = fopen(path, "rb");
    if (!in) {
        return errno == ENOENT ? STATUS_OK
                               : error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    struct checkpoint_head head;
    enum status status = STATUS_OK;
    if (fread(&head, sizeof(head), 1, in) != 1 || memcmp(head.magic, MAGIC, 8) != 0) {
        status = error_set(error, STATUS_INVALID, "%s: no checkpoint of a training", path);
    } else if (head.training != hash || head.count != p->count) {
        status = error_set(error, STATUS_INVALID,
                           "%s: of a training with other rows or settings; remove it to start anew",
                           path);
    } else {
        status = read_body(path, in, &head, p, error);
    }
    (void)fclose(in);
    return status;
}
