#include "models/train_trees_checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "models/checkpoint_file.h"
#include "models/train_trees_internal.h"
#include "pipeline/base/hash.h"

#define PARTS 3u

struct checkpoint_numbers {
    uint32_t stage, round, best_round, rest;
    double best_loss;
};

uint64_t tree_training_hash(const struct tree_training *training)
{
    const struct tree_train_options *o = training->options;
    const int *version = training->library.version; /* Another one may grow other trees. */
    const double numbers[] = {
        o->rounds_max,  o->patience,        o->depth,   o->leaves,  o->bins,      o->threads,
        o->rate,        o->leaf_weight_min, o->lambda,  o->gamma,   o->row_share, o->column_share,
        o->is_refitted, o->positive_weight, version[0], version[1], version[2]};
    uint64_t hash =
        hash64_combine(row_table_hash(training->table),
                       hash64((struct text){(const char *)numbers, (uint32_t)sizeof(numbers)}));
    hash = hash64_combine(
        hash, hash64((struct text){(const char *)training->parts, training->table->count}));
    hash = hash64_combine(hash, o->seed);
    hash = hash64_combine(hash, row_table_weights_hash(training->table));
    for (uint32_t i = 0; i < o->column_count; i++) {
        hash = hash64_combine(hash, o->columns[i]);
        hash = hash64_combine(hash, hash64(text_of(o->names[o->columns[i]])));
    }
    return hash;
}

enum status tree_checkpoint_write(const char *path, uint64_t hash,
                                  const struct tree_progress *progress,
                                  const struct tree_booster_bytes *booster,
                                  const struct held_out *held, struct error *error)
{
    struct checkpoint_numbers numbers = {.stage = progress->stage,
                                         .round = progress->round,
                                         .best_round = progress->best_round,
                                         .best_loss = progress->best_loss};
    const struct checkpoint_part parts[PARTS] = {
        {&numbers, sizeof(numbers)},
        {(void *)(uintptr_t)booster->bytes, booster->length},
        {held->margins, progress->stage > 0 ? held->count * sizeof(float) : 0}};
    return checkpoint_file_write(path, hash, parts, PARTS, error);
}

enum status tree_checkpoint_read(const char *path, uint64_t hash, struct tree_progress *progress,
                                 struct held_out *held, struct error *error)
{
    struct checkpoint_numbers numbers;
    struct checkpoint_part parts[PARTS] = {{.bytes = &numbers, .length = sizeof(numbers)}};
    bool is_there;
    enum status status = checkpoint_file_read(path, hash, parts, PARTS, &is_there, error);
    if (status != STATUS_OK || !is_there) {
        return status;
    }
    uint64_t expected = numbers.stage > 0 ? held->count * sizeof(float) : 0;
    if (parts[2].length == expected) {
        memcpy(held->margins, parts[2].bytes, expected);
        *progress = (struct tree_progress){.stage = numbers.stage,
                                           .round = numbers.round,
                                           .best_round = numbers.best_round,
                                           .best_loss = numbers.best_loss,
                                           .booster = parts[1].bytes,
                                           .booster_length = parts[1].length};
        parts[1].bytes = NULL;
    } else {
        status = error_set(error, STATUS_INVALID, "%s: damaged; remove it to start anew", path);
    }
    free(parts[1].bytes);
    free(parts[2].bytes);
    return status;
}
