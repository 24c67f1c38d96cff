#include "pipeline/wire/schema_registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/hash.h"
#include "pipeline/wire/registry_call.h"
#include "pipeline/wire/registry_internal.h"
#include "pipeline/wire/secret.h"

/* A follower of the registry may not have heard yet of an id that was registered a moment ago. */
#define UNKNOWN_ATTEMPTS 3u
#define UNKNOWN_ASKED_AGAIN_NS (60000 * NS_PER_MS)
#define SLEEP_MS_MAX 100

struct entry {
    uint32_t id;
    enum registry_answer state; /* Never REGISTRY_AWAY. */
    char *schema;               /* FOUND. Owned. */
    uint32_t unknown_count;     /* Times in a row that the registry did not know it. */
    uint64_t asked_ns;          /* PENDING: since when. UNKNOWN: when it was said. */
    uint64_t due_ns;            /* PENDING: not asked for before. */
    char detail[REGISTRY_DETAIL_BYTES];
};

/*
 * Half of the doubled pause is fixed and half is random ("equal jitter"), so that instances that
 * failed together do not come back together.
 */
uint64_t registry_backoff_ms(const struct schema_registry *registry, uint32_t attempt)
{
    uint64_t most = (uint64_t)registry->options.backoff_max_ms;
    uint64_t pause = (uint64_t)registry->options.backoff_min_ms;
    for (uint32_t i = 1; i < attempt && pause < most; i++) {
        pause *= 2;
    }
    pause = pause < most ? pause : most;
    uint64_t random = hash64_combine(clock_monotonic_ns(), (uint64_t)(uintptr_t)registry);
    return pause / 2 + random % (pause / 2 + 1);
}

static struct entry *find_entry(const struct schema_registry *registry, uint32_t id)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->entries[i]->id == id) {
            return registry->entries[i];
        }
    }
    return NULL;
}

/* Room for one more of those not found; the oldest of the unknown ones makes it. */
static struct entry *oldest_unknown(const struct schema_registry *registry)
{
    struct entry *oldest = NULL;
    for (uint32_t i = 0; i < registry->count; i++) {
        struct entry *entry = registry->entries[i];
        if (entry->state == REGISTRY_UNKNOWN && (!oldest || entry->asked_ns < oldest->asked_ns)) {
            oldest = entry;
        }
    }
    return oldest;
}

static void ask_for(struct schema_registry *registry, struct entry *entry)
{
    entry->state = REGISTRY_PENDING;
    entry->asked_ns = clock_monotonic_ns();
    entry->due_ns = 0;
    (void)snprintf(entry->detail, sizeof(entry->detail), "the registry is being asked");
    (void)pthread_cond_signal(&registry->wake);
}

/* NULL: there is no room, for memory or for too many ids. */
static struct entry *add_entry(struct schema_registry *registry, uint32_t id)
{
    struct entry *entry = NULL;
    if (registry->count - registry->found >= REGISTRY_UNKNOWN_MAX) {
        entry = oldest_unknown(registry);
    } else {
        if (registry->count == registry->room) {
            uint32_t room = registry->room ? 2 * registry->room : 16;
            struct entry **entries = realloc(registry->entries, sizeof(struct entry *) * room);
            if (!entries) {
                return NULL;
            }
            registry->entries = entries;
            registry->room = room;
        }
        entry = calloc(1, sizeof(*entry));
        if (entry) {
            registry->entries[registry->count++] = entry;
        }
    }
    if (entry) {
        *entry = (struct entry){.id = id};
        ask_for(registry, entry);
    }
    return entry;
}

/* What a pending entry says to those who wait for it. */
static enum registry_answer answer_pending(const struct schema_registry *registry,
                                           const struct entry *entry, char *ret_detail)
{
    uint64_t waited_ms = (clock_monotonic_ns() - entry->asked_ns) / NS_PER_MS;
    bool gives_up = registry->options.when_away == REGISTRY_GIVES_UP &&
                    waited_ms >= (uint64_t)registry->options.give_up_after_ms;
    (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "%s", entry->detail);
    return gives_up ? REGISTRY_AWAY : REGISTRY_PENDING;
}

enum registry_answer schema_registry_find(struct schema_registry *registry, uint32_t id,
                                          const char **ret_schema, char *ret_detail)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct entry *entry = find_entry(registry, id);
    if (!entry && registry->found >= REGISTRY_SCHEMAS_MAX) {
        (void)pthread_mutex_unlock(&registry->lock);
        (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "more than %u schemas are in use",
                       REGISTRY_SCHEMAS_MAX);
        return REGISTRY_UNUSABLE;
    }
    if (!entry) {
        entry = add_entry(registry, id);
    } else if (entry->state == REGISTRY_UNKNOWN &&
               clock_monotonic_ns() - entry->asked_ns >= UNKNOWN_ASKED_AGAIN_NS) {
        ask_for(registry, entry);
    }
    enum registry_answer answer = REGISTRY_PENDING;
    if (!entry) {
        /* Those before it are being asked for; they make room. */
        (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "too many schemas at a time");
    } else if (entry->state == REGISTRY_PENDING) {
        answer = answer_pending(registry, entry, ret_detail);
    } else {
        answer = entry->state;
        *ret_schema = answer == REGISTRY_FOUND ? entry->schema : *ret_schema;
        (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "%s", entry->detail);
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return answer;
}

/* ---- The thread ---- */

static struct entry *next_due(const struct schema_registry *registry, uint64_t now_ns,
                              uint64_t *ret_wait_ns)
{
    struct entry *due = NULL;
    *ret_wait_ns = SLEEP_MS_MAX * NS_PER_MS;
    for (uint32_t i = 0; i < registry->count; i++) {
        struct entry *entry = registry->entries[i];
        if (entry->state != REGISTRY_PENDING) {
            continue;
        }
        uint64_t due_ns =
            entry->due_ns > registry->not_before_ns ? entry->due_ns : registry->not_before_ns;
        if (due_ns > now_ns) {
            *ret_wait_ns = due_ns - now_ns < *ret_wait_ns ? due_ns - now_ns : *ret_wait_ns;
        } else if (!due || entry->asked_ns < due->asked_ns) {
            due = entry;
        }
    }
    return due;
}

/* Sleeps until an entry is due; returns false for a stop. Called and left with the lock. */
static bool await_due(struct schema_registry *registry, uint32_t *ret_id)
{
    while (!atomic_load(&registry->stop)) {
        uint64_t wait_ns;
        uint64_t now_ns = clock_monotonic_ns();
        const struct entry *entry = next_due(registry, now_ns, &wait_ns);
        if (entry) {
            *ret_id = entry->id;
            return true;
        }
        uint64_t until_ns = now_ns + wait_ns;
        struct timespec until = {.tv_sec = (time_t)(until_ns / UINT64_C(1000000000)),
                                 .tv_nsec = (long)(until_ns % UINT64_C(1000000000))};
        (void)pthread_cond_timedwait(&registry->wake, &registry->lock, &until);
    }
    return false;
}

static void note_failure(struct schema_registry *registry, struct entry *entry,
                         const struct error *error)
{
    registry->stats.failures++;
    registry->failures_in_row++;
    registry->not_before_ns =
        clock_monotonic_ns() + registry_backoff_ms(registry, registry->failures_in_row) * NS_PER_MS;
    (void)snprintf(entry->detail, sizeof(entry->detail), "%.155s", error->message);
}

/* Takes over `schema`. */
static void note_answer(struct schema_registry *registry, struct entry *entry,
                        enum registry_answer answer, char *schema, const char *detail)
{
    registry->failures_in_row = 0;
    registry->not_before_ns = 0;
    if (answer == REGISTRY_UNKNOWN && ++entry->unknown_count < UNKNOWN_ATTEMPTS) {
        entry->due_ns =
            clock_monotonic_ns() + registry_backoff_ms(registry, entry->unknown_count) * NS_PER_MS;
        return;
    }
    entry->state = answer;
    entry->asked_ns = clock_monotonic_ns();
    entry->schema = schema;
    registry->found += answer == REGISTRY_FOUND || answer == REGISTRY_UNUSABLE;
    (void)snprintf(entry->detail, sizeof(entry->detail), "%s", detail);
}

static void *fetch(void *context)
{
    struct schema_registry *registry = context;
    uint32_t id;
    (void)pthread_mutex_lock(&registry->lock);
    while (await_due(registry, &id)) {
        (void)pthread_mutex_unlock(&registry->lock);
        char *schema = NULL;
        char detail[REGISTRY_DETAIL_BYTES] = "";
        enum registry_answer answer = REGISTRY_PENDING;
        struct error error;
        enum status status =
            registry_call_schema(registry->fetcher, id, &answer, &schema, detail, &error);
        (void)pthread_mutex_lock(&registry->lock);
        registry->stats.requests++;
        /* Pending entries are never removed, so it is there. */
        struct entry *entry = find_entry(registry, id);
        if (status == STATUS_OK) {
            note_answer(registry, entry, answer, schema, detail);
        } else {
            note_failure(registry, entry, &error);
        }
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return NULL;
}

/* ---- Opening ---- */

static enum status create_clients(struct schema_registry *registry,
                                  const struct schema_registry_options *options,
                                  const char *password, const char *token, struct error *error)
{
    struct http_client_options client = {
        .service = "schema registry",
        .setting = schema_registry_section.name,
        .urls = options->urls,
        .username = options->username,
        .password = password,
        .token = token,
        .ca_file = options->ca_file,
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
        .timeout_ms = options->timeout_ms,
        .media_type = REGISTRY_MEDIA_TYPE,
    };
    enum status status = http_client_create(&client, &registry->stop, &registry->fetcher, error);
    return status == STATUS_OK
               ? http_client_create(&client, &registry->stop, &registry->caller, error)
               : status;
}

static enum status prepare(struct schema_registry *registry,
                           const struct schema_registry_options *options, struct error *error)
{
    char *password = NULL;
    char *token = NULL;
    enum status status = secret_read("schema_registry.password", options->password_file,
                                     options->password_env, &password, error);
    if (status == STATUS_OK) {
        status = secret_read("schema_registry.token", options->token_file, options->token_env,
                             &token, error);
    }
    if (status == STATUS_OK) {
        status = create_clients(registry, options, password, token, error);
    }
    secret_release(password);
    secret_release(token);
    return status;
}

static void init_locks(struct schema_registry *registry)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&registry->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&registry->lock, NULL);
    (void)pthread_mutex_init(&registry->caller_lock, NULL);
}

enum status schema_registry_open(const struct schema_registry_options *options,
                                 struct schema_registry **ret_registry, struct error *error)
{
    struct schema_registry *registry = calloc(1, sizeof(*registry));
    if (!registry) {
        return error_set(error, STATUS_FATAL, "schema registry: out of memory");
    }
    registry->options = *options;
    init_locks(registry);
    enum status status = prepare(registry, options, error);
    if (status == STATUS_OK) {
        registry->has_thread = pthread_create(&registry->thread, NULL, fetch, registry) == 0;
        if (!registry->has_thread) {
            status = error_set(error, STATUS_FATAL, "schema registry: cannot start a thread");
        }
    }
    if (status != STATUS_OK) {
        schema_registry_close(registry);
        return status;
    }
    *ret_registry = registry;
    return STATUS_OK;
}

void schema_registry_stop(struct schema_registry *registry)
{
    atomic_store(&registry->stop, true);
}

void schema_registry_close(struct schema_registry *registry)
{
    if (!registry) {
        return;
    }
    schema_registry_stop(registry);
    if (registry->has_thread) {
        (void)pthread_mutex_lock(&registry->lock);
        (void)pthread_cond_signal(&registry->wake);
        (void)pthread_mutex_unlock(&registry->lock);
        (void)pthread_join(registry->thread, NULL);
    }
    http_client_destroy(registry->fetcher);
    http_client_destroy(registry->caller);
    for (uint32_t i = 0; i < registry->count; i++) {
        free(registry->entries[i]->schema);
        free(registry->entries[i]);
    }
    free(registry->entries);
    (void)pthread_cond_destroy(&registry->wake);
    (void)pthread_mutex_destroy(&registry->lock);
    (void)pthread_mutex_destroy(&registry->caller_lock);
    free(registry);
}

struct schema_registry_stats schema_registry_stats(struct schema_registry *registry)
{
    (void)pthread_mutex_lock(&registry->lock);
    struct schema_registry_stats stats = registry->stats;
    for (uint32_t i = 0; i < registry->count; i++) {
        enum registry_answer state = registry->entries[i]->state;
        stats.known += state == REGISTRY_FOUND;
        stats.pending += state == REGISTRY_PENDING;
        stats.unknown += state == REGISTRY_UNKNOWN || state == REGISTRY_UNUSABLE;
    }
    stats.is_away = registry->failures_in_row > 0;
    (void)pthread_mutex_unlock(&registry->lock);
    return stats;
}
