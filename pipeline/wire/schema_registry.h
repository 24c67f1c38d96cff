/*
 * Client of a schema registry by the HTTP interface that Confluent published for theirs ("Schema
 * Registry API Reference", v1) and others speak as well. Writers' schemas are asked for by a thread
 * of the registry's own, so that a worker never waits inside of a decode; an id once known is kept
 * for good, since registries never change what an id stands for. All functions may be called from
 * any thread.
 */
#ifndef PIPELINE_WIRE_SCHEMA_REGISTRY_H
#define PIPELINE_WIRE_SCHEMA_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/config/settings.h"

#define REGISTRY_SCHEMAS_MAX 8192u /* Known ids. */
#define REGISTRY_UNKNOWN_MAX 1024u /* Ids that the registry does not know, or has not answered. */
#define REGISTRY_DETAIL_BYTES 160

enum registry_when_away { REGISTRY_WAITS, REGISTRY_GIVES_UP };

/* Section schema_registry of a configuration. */
struct schema_registry_options {
    struct text_list urls; /* Tried in turn. */
    char *username;
    char *password_file;
    char *password_env;
    char *token_file;
    char *token_env;
    char *ca_file;
    char *certificate_file;
    char *key_file;
    int64_t timeout_ms;       /* Of one request. */
    int64_t start_timeout_ms; /* How long the start waits for the registry. */
    int64_t backoff_min_ms;   /* After a first failure; doubled with each further one. */
    int64_t backoff_max_ms;
    int when_away; /* enum registry_when_away */
    int64_t give_up_after_ms;
    int output_schemas; /* enum registry_output_mode */
};

extern const struct setting_section schema_registry_section;

struct schema_registry;

/*
 * Reads the secrets, copies the options and starts the thread; sends nothing yet. STATUS_INVALID
 * for settings that cannot work, by name.
 */
MUST_CHECK enum status schema_registry_open(const struct schema_registry_options *options,
                                            struct schema_registry **ret_registry,
                                            struct error *error);

/* Ends a request that is on its way. Nobody may use the registry or its texts any more. */
void schema_registry_close(struct schema_registry *registry); /* NULL is a no-op. */

/* Ends waits of other threads early, with STATUS_RETRY: for a stop. Async-signal-safe. */
void schema_registry_stop(struct schema_registry *registry);

/* Hears of each attempt that failed and will be repeated. `message` holds no secret. */
struct registry_listener {
    void (*failed)(void *context, uint32_t attempt, int64_t wait_ms, const char *message);
    void *context;
};

/*
 * Waits until the registry answers at all, for the start: retries with back-off for at most
 * start_timeout, then STATUS_RETRY with the last cause. STATUS_INVALID at once where repeating does
 * not help (refused user, bad certificate). `listener` may be NULL, here and below.
 */
MUST_CHECK enum status schema_registry_await(struct schema_registry *registry,
                                             const struct registry_listener *listener,
                                             struct error *error);

enum registry_answer {
    REGISTRY_FOUND,
    REGISTRY_PENDING,  /* Being asked for: come again later. */
    REGISTRY_UNKNOWN,  /* The registry has no such id. Asked again a minute later. */
    REGISTRY_UNUSABLE, /* Not an Avro schema, or one that refers to others. */
    REGISTRY_AWAY,     /* No answer for give_up_after, where the setting is to give up. */
};

/*
 * The schema of an id, without waiting. FOUND: *ret_schema (JSON, terminated) lives as long as the
 * registry. Otherwise ret_detail[REGISTRY_DETAIL_BYTES] says why.
 */
enum registry_answer schema_registry_find(struct schema_registry *registry, uint32_t id,
                                          const char **ret_schema, char *ret_detail);

enum registry_output_mode {
    REGISTRY_REGISTER, /* Registered where it is not yet. */
    REGISTRY_CHECK,    /* It must be registered already; nothing is written. */
};

/*
 * The id of an output's schema below `subject`, such as "alerts-value". Retries like await.
 * STATUS_INVALID, naming subject and the registry's words, where it is not compatible with what is
 * registered, or, when only checked, where it is not registered; then the message also says whether
 * it could be.
 */
MUST_CHECK enum status schema_registry_output_id(struct schema_registry *registry,
                                                 const char *subject, const char *schema,
                                                 enum registry_output_mode mode,
                                                 const struct registry_listener *listener,
                                                 uint32_t *ret_id, struct error *error);

/* Whether `schema` may follow the newest one of `subject`; a subject not there takes any. */
MUST_CHECK enum status schema_registry_is_compatible(struct schema_registry *registry,
                                                     const char *subject, const char *schema,
                                                     const struct registry_listener *listener,
                                                     bool *ret_is_compatible, char *ret_detail,
                                                     struct error *error);

struct schema_registry_stats {
    uint64_t requests; /* Answered or not. */
    uint64_t failures; /* No answer, or one that says to try again. */
    uint64_t known;    /* Ids. */
    uint64_t pending;
    uint64_t unknown;
    bool is_away; /* The last request failed. */
};

struct schema_registry_stats schema_registry_stats(struct schema_registry *registry);

#endif
