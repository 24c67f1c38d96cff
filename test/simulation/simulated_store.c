#include "test/simulation/simulated_store.h"

#include "pipeline/stage.h" /* container_of */

static struct simulated_store *self_of(struct state_store *store)
{
    return container_of(store, struct simulated_store, store);
}

static enum status go_down(struct simulated_store *self, struct error *error)
{
    self->is_down = true;
    storage_fake_fault_at(self->disk, 1, STORAGE_CRASH_BEFORE);
    return error_set(error, STATUS_FATAL, "store: the process is dead");
}

/* STATUS_OK: the call is carried out. */
static enum status enter(struct simulated_store *self, struct error *error)
{
    if (self->is_down || storage_fake_is_down(self->disk)) {
        return error_set(error, STATUS_FATAL, "store: the process is dead");
    }
    self->calls++;
    if (self->calls != self->fault_at) {
        return STATUS_OK;
    }
    self->was_hit = true;
    switch (self->fault) {
    case STORE_CRASH_BEFORE:
        return go_down(self, error);
    case STORE_CRASH_AFTER:
        return STATUS_OK;
    case STORE_CORRUPT:
        return error_set(error, STATUS_CORRUPT, "store: call %llu finds it corrupt",
                         (unsigned long long)self->calls);
    case STORE_BUSY:
    case STORE_FAIL:
        break;
    }
    return error_set(error, STATUS_FATAL, "store: call %llu was made to fail",
                     (unsigned long long)self->calls);
}

static enum status leave(struct simulated_store *self, enum status status, struct error *error)
{
    bool dies = self->calls == self->fault_at && self->fault == STORE_CRASH_AFTER;
    return dies ? go_down(self, error) : status;
}

static enum status simulated_get_many(struct state_store *store, const struct store_key *keys,
                                      uint32_t count, struct store_value *values,
                                      struct error *error)
{
    struct simulated_store *self = self_of(store);
    enum status status = enter(self, error);
    return status == STATUS_OK
               ? leave(self, self->inner->ops->get_many(self->inner, keys, count, values, error),
                       error)
               : status;
}

static enum status simulated_write(struct state_store *store, const struct store_put *puts,
                                   uint32_t count, uint64_t log_position, struct error *error)
{
    struct simulated_store *self = self_of(store);
    enum status status = enter(self, error);
    if (status != STATUS_OK) {
        bool is_busy = self->calls == self->fault_at && self->fault == STORE_BUSY;
        return is_busy ? STATUS_RETRY : status;
    }
    self->writes++;
    return leave(self, self->inner->ops->write(self->inner, puts, count, log_position, error),
                 error);
}

static enum status simulated_scan(struct state_store *store, const struct store_key *from,
                                  const struct store_key *to, store_visitor *visit, void *context,
                                  struct error *error)
{
    struct simulated_store *self = self_of(store);
    enum status status = enter(self, error);
    return status == STATUS_OK
               ? leave(self, self->inner->ops->scan(self->inner, from, to, visit, context, error),
                       error)
               : status;
}

static enum status simulated_flush(struct state_store *store, struct error *error)
{
    struct simulated_store *self = self_of(store);
    enum status status = enter(self, error);
    return status == STATUS_OK ? leave(self, self->inner->ops->flush(self->inner, error), error)
                               : status;
}

static uint64_t simulated_durable_position(struct state_store *store)
{
    struct state_store *inner = self_of(store)->inner;
    return inner->ops->durable_position(inner);
}

static uint64_t simulated_position(struct state_store *store)
{
    struct state_store *inner = self_of(store)->inner;
    return inner->ops->position(inner);
}

static void simulated_close(struct state_store *store)
{
    (void)store;
}

static const struct state_store_ops simulated_ops = {
    .name = "simulated",
    .get_many = simulated_get_many,
    .write = simulated_write,
    .scan = simulated_scan,
    .flush = simulated_flush,
    .durable_position = simulated_durable_position,
    .position = simulated_position,
    .close = simulated_close,
};

void simulated_store_init(struct simulated_store *store, struct state_store *inner,
                          struct storage_fake *disk)
{
    *store = (struct simulated_store){.store.ops = &simulated_ops, .inner = inner, .disk = disk};
}
