/* The calls of a schema registry that wait for their answer, repeated while it is away. */
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/wire/registry_call.h"
#include "pipeline/wire/registry_internal.h"

/* One call to be repeated; what it gives stands behind it. */
struct call {
    enum status (*make)(struct http_client *client, struct call *call, struct error *error);
    const char *subject;
    const char *schema;
    uint32_t id;
    bool flag;
    char *detail;
};

static void sleep_unless_stopped(const struct schema_registry *registry, uint64_t ms)
{
    while (ms > 0 && !atomic_load(&registry->stop)) {
        uint64_t step = ms < 20 ? ms : 20;
        struct timespec pause = {.tv_nsec = (long)(step * NS_PER_MS)};
        (void)nanosleep(&pause, NULL);
        ms -= step;
    }
}

static enum status call_once(struct schema_registry *registry, struct call *call,
                             struct error *error)
{
    (void)pthread_mutex_lock(&registry->caller_lock);
    enum status status = call->make(registry->caller, call, error);
    (void)pthread_mutex_unlock(&registry->caller_lock);
    (void)pthread_mutex_lock(&registry->lock);
    registry->stats.requests++;
    registry->stats.failures += status == STATUS_RETRY;
    (void)pthread_mutex_unlock(&registry->lock);
    return status;
}

static enum status call_until_answered(struct schema_registry *registry, struct call *call,
                                       const struct registry_listener *listener,
                                       struct error *error)
{
    uint64_t begin_ns = clock_monotonic_ns();
    for (uint32_t attempt = 1;; attempt++) {
        struct error cause = {""};
        enum status status = call_once(registry, call, &cause);
        uint64_t waited_ms = (clock_monotonic_ns() - begin_ns) / NS_PER_MS;
        bool is_last = waited_ms >= (uint64_t)registry->options.start_timeout_ms ||
                       atomic_load(&registry->stop);
        if (status == STATUS_OK) {
            return status;
        }
        if (status != STATUS_RETRY) {
            return error_set(error, status, "%s", cause.message);
        }
        if (is_last) {
            return error_set(error, status, "%s (%u attempts in %llu ms)", cause.message, attempt,
                             (unsigned long long)waited_ms);
        }
        uint64_t pause_ms = registry_backoff_ms(registry, attempt);
        if (listener && listener->failed) {
            listener->failed(listener->context, attempt, (int64_t)pause_ms, cause.message);
        }
        sleep_unless_stopped(registry, pause_ms);
    }
}

static enum status make_hello(struct http_client *client, struct call *call, struct error *error)
{
    (void)call;
    return registry_call_hello(client, error);
}

static enum status make_register(struct http_client *client, struct call *call, struct error *error)
{
    return registry_call_register(client, call->subject, call->schema, &call->id, error);
}

static enum status make_lookup(struct http_client *client, struct call *call, struct error *error)
{
    return registry_call_lookup(client, call->subject, call->schema, &call->flag, &call->id, error);
}

static enum status make_compatible(struct http_client *client, struct call *call,
                                   struct error *error)
{
    return registry_call_compatible(client, call->subject, call->schema, &call->flag, call->detail,
                                    error);
}

enum status schema_registry_await(struct schema_registry *registry,
                                  const struct registry_listener *listener, struct error *error)
{
    struct call call = {.make = make_hello};
    return call_until_answered(registry, &call, listener, error);
}

enum status schema_registry_is_compatible(struct schema_registry *registry, const char *subject,
                                          const char *schema,
                                          const struct registry_listener *listener,
                                          bool *ret_is_compatible, char *ret_detail,
                                          struct error *error)
{
    struct call call = {
        .make = make_compatible, .subject = subject, .schema = schema, .detail = ret_detail};
    enum status status = call_until_answered(registry, &call, listener, error);
    if (status == STATUS_OK) {
        *ret_is_compatible = call.flag;
    }
    return status;
}

static enum status complain_of_absent(struct schema_registry *registry, const char *subject,
                                      const char *schema, const struct registry_listener *listener,
                                      struct error *error)
{
    bool is_compatible = false;
    char detail[REGISTRY_DETAIL_BYTES] = "";
    enum status status = schema_registry_is_compatible(registry, subject, schema, listener,
                                                       &is_compatible, detail, error);
    if (status != STATUS_OK) {
        return status;
    }
    return error_set(error, STATUS_INVALID,
                     "schema registry: %s: the schema is not registered, and output_schemas: check "
                     "registers none; it %s be: %s",
                     subject, is_compatible ? "could" : "could not",
                     *detail         ? detail
                     : is_compatible ? "it is compatible"
                                     : "it is not compatible");
}

enum status schema_registry_output_id(struct schema_registry *registry, const char *subject,
                                      const char *schema, enum registry_output_mode mode,
                                      const struct registry_listener *listener, uint32_t *ret_id,
                                      struct error *error)
{
    struct call call = {.make = mode == REGISTRY_REGISTER ? make_register : make_lookup,
                        .subject = subject,
                        .schema = schema,
                        .flag = true};
    enum status status = call_until_answered(registry, &call, listener, error);
    if (status == STATUS_OK && !call.flag) {
        status = complain_of_absent(registry, subject, schema, listener, error);
    }
    if (status == STATUS_OK) {
        *ret_id = call.id;
    }
    return status;
}
