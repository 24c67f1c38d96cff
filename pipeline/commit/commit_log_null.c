#include <stdlib.h>

#include "pipeline/commit/commit_log_null.h"
#include "pipeline/stage.h" /* container_of */

struct commit_log_null {
    struct commit_log log;
    uint64_t position;
};

static enum status null_recover(struct commit_log *log, uint64_t from,
                                const struct recovery_visitor *visitor,
                                struct commit_point *ret_point, struct error *error)
{
    (void)log;
    (void)from;
    (void)visitor;
    (void)error;
    *ret_point = (struct commit_point){.is_new = true};
    return STATUS_OK;
}

static enum status null_start(struct commit_log *log, const struct commit_content *content,
                              struct error *error)
{
    (void)content;
    (void)error;
    container_of(log, struct commit_log_null, log)->position++;
    return STATUS_OK;
}

static enum status null_poll(struct commit_log *log, enum commit_state *ret_state,
                             uint64_t *ret_log_position, struct error *error)
{
    (void)error;
    *ret_state = COMMIT_DONE;
    *ret_log_position = container_of(log, struct commit_log_null, log)->position;
    return STATUS_OK;
}

static enum status null_trim(struct commit_log *log, uint64_t log_position, struct error *error)
{
    (void)log;
    (void)log_position;
    (void)error;
    return STATUS_OK;
}

static void null_close(struct commit_log *log)
{
    if (log) {
        free(container_of(log, struct commit_log_null, log));
    }
}

static const struct commit_log_ops null_ops = {
    .name = "null",
    .recover = null_recover,
    .start = null_start,
    .poll = null_poll,
    .trim = null_trim,
    .close = null_close,
};

enum status commit_log_null_open(struct commit_log **ret_log, struct error *error)
{
    struct commit_log_null *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "log: out of memory");
    }
    self->log.ops = &null_ops;
    *ret_log = &self->log;
    return STATUS_OK;
}
