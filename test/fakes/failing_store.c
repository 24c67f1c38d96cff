#include "test/fakes/failing_store.h"

#include "pipeline/stage.h"

static struct failing_store *self_of(struct state_store *store)
{
    return container_of(store, struct failing_store, store);
}

static enum status count_call(struct failing_store *self, struct error *error)
{
    self->calls++;
    return self->calls == self->fail_at
               ? error_set(error, STATUS_FATAL, "call %llu was made to fail",
                           (unsigned long long)self->calls)
               : STATUS_OK;
}

static enum status failing_get_many(struct state_store *store, const struct store_key *keys,
                                    uint32_t count, struct store_value *values, struct error *error)
{
    struct failing_store *self = self_of(store);
    enum status status = count_call(self, error);
    return status == STATUS_OK ? self->inner->ops->get_many(self->inner, keys, count, values, error)
                               : status;
}

static enum status failing_write(struct state_store *store, const struct store_put *puts,
                                 uint32_t count, uint64_t log_position, struct error *error)
{
    struct failing_store *self = self_of(store);
    enum status status = count_call(self, error);
    return status == STATUS_OK
               ? self->inner->ops->write(self->inner, puts, count, log_position, error)
               : status;
}

static enum status failing_scan(struct state_store *store, const struct store_key *from,
                                const struct store_key *to, store_visitor *visit, void *context,
                                struct error *error)
{
    struct failing_store *self = self_of(store);
    enum status status = count_call(self, error);
    return status == STATUS_OK
               ? self->inner->ops->scan(self->inner, from, to, visit, context, error)
               : status;
}

static enum status failing_flush(struct state_store *store, struct error *error)
{
    struct failing_store *self = self_of(store);
    enum status status = count_call(self, error);
    return status == STATUS_OK ? self->inner->ops->flush(self->inner, error) : status;
}

static uint64_t failing_durable_position(struct state_store *store)
{
    struct state_store *inner = self_of(store)->inner;
    return inner->ops->durable_position(inner);
}

static uint64_t failing_position(struct state_store *store)
{
    struct state_store *inner = self_of(store)->inner;
    return inner->ops->position(inner);
}

static void failing_close(struct state_store *store)
{
    (void)store;
}

static const struct state_store_ops failing_ops = {
    .name = "failing",
    .get_many = failing_get_many,
    .write = failing_write,
    .scan = failing_scan,
    .flush = failing_flush,
    .durable_position = failing_durable_position,
    .position = failing_position,
    .close = failing_close,
};

void failing_store_init(struct failing_store *failing, struct state_store *inner)
{
    *failing = (struct failing_store){.store = {&failing_ops}, .inner = inner};
}
