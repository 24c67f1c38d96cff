/* The configuration file: sections of the pipeline itself, and those of the stages (stages.h). */
#ifndef PIPELINE_RUN_CONFIG_H
#define PIPELINE_RUN_CONFIG_H

#include <stdio.h>

#include "pipeline/base/hash.h"
#include "pipeline/config/settings.h"
#include "pipeline/kafka/kafka_settings.h"
#include "pipeline/run/run_metrics.h"
#include "pipeline/run/stages.h"
#include "pipeline/wire/schema_registry.h"

enum input_source { SOURCE_FILES, SOURCE_KAFKA };

struct input_options {
    int source; /* enum input_source */
    struct text_list files;
    int format;    /* enum input_format */
    char *mapping; /* NULL: canonical events. */
    bool is_followed;
    int64_t idle_after_ms; /* 0: the watermark of an idle partition waits. */
    char *csv_delimiter;
    char *csv_comment; /* NULL: every line is a record. */
    bool csv_has_header;
    bool csv_is_ragged;
    struct text_list csv_columns;
    int64_t allowed_lateness_ms;
    int64_t max_ahead_ms;
    int late_events; /* 0 process, 1 divert */
};

struct state_options {
    char *directory;
    int64_t memory_bytes;
    bool is_preallocated;
    struct text_list entities;
    int64_t retention_ms;
};

struct output_options {
    int sink; /* enum input_source, the same as the input's. */
    char *directory;
    int format; /* enum output_format */
    double scored_events_share;
    bool keeps_rejected_bytes;
};

struct commit_options {
    int64_t interval_ms;
    int64_t events_max;
    bool is_synced;
    int64_t segment_bytes;
};

struct privacy_options {
    char *key_file;
    char *key_env;
};

struct run_options {
    int64_t workers;
    int64_t batch_events;
};

struct config {
    struct yaml_document *document;
    const char *path; /* Borrowed from the document's nodes. */
    char *name;       /* The application; from the file's name where it is not given. */
    struct input_options input;
    struct state_options state;
    struct output_options output;
    struct commit_options commit;
    struct privacy_options privacy;
    struct run_options run;
    struct kafka_options kafka;
    struct schema_registry_options schema_registry;
    struct metrics_options metrics;
    struct pseudonym_key key;
    bool has_own_key; /* False: the key is public, pseudonyms can be guessed. */
    uint32_t entity_mask;
    uint32_t hop_mask; /* Of those, which tasks of their own keep: see ARCHITECTURE.md, hops. */
    struct mapping *mapping;
    struct stage_plan *plan;
};

/*
 * Reads and validates everything that can be validated without running: sections, mapping, rules,
 * packs, and that they fit together. STATUS_INVALID with file, line, key, value and what was
 * expected. `partitions` is the number of input files the run will have (0: as configured).
 */
MUST_CHECK enum status config_load(const char *path, uint32_t partitions, struct config *ret_config,
                                   struct error *error);
void config_release(struct config *config);

/* Prints what was understood, for `nudge check`. */
void config_describe(const struct config *config, FILE *out);

/* The sections in the order of the reference documentation; NULL ends the list. */
const struct setting_section *const *config_sections(void);

/* Hash of everything that changes results; a change of it is a new configuration epoch. */
uint64_t config_hash(const struct config *config);

#endif
