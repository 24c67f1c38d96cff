#include "pipeline/run/config_settings.h"

#include <stddef.h>

#include "pipeline/source/source.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

const char *const input_format_names[] = {"avro", "jsonl", "csv", "combined_log", NULL};
static const char *const output_format_names[] = {"jsonl", "avro", NULL};
const char *const input_source_names[] = {"files", "kafka", NULL};
static const char *const late_names[] = {"process", "divert", NULL};

#define INPUT(member) offsetof(struct input_options, member)
static const struct setting input_settings[] = {
    {.name = "source",
     .type = SETTING_CHOICE,
     .offset = INPUT(source),
     .fallback = "files",
     .choices = input_source_names,
     .doc = "Files, or the topic of section kafka"},
    {.name = "files",
     .type = SETTING_LIST,
     .offset = INPUT(files),
     .doc = "Input files, each a partition; - is standard input; --input takes their place"},
    {.name = "format",
     .type = SETTING_CHOICE,
     .offset = INPUT(format),
     .fallback = "jsonl",
     .choices = input_format_names,
     .doc = "What the files are; gzip is recognised by itself"},
    {.name = "mapping",
     .type = SETTING_PATH,
     .offset = INPUT(mapping),
     .doc = "Mapping of foreign fields to events; without it the fields are canonical"},
    {.name = "follow",
     .type = SETTING_BOOL,
     .offset = INPUT(is_followed),
     .fallback = "false",
     .doc = "Go on at the end of a file as it grows, instead of ending the run"},
    {.name = "idle_after",
     .type = SETTING_DURATION,
     .offset = INPUT(idle_after_ms),
     .fallback = "0s",
     .min = 0,
     .max = 864e5,
     .doc = "A followed partition without input for this long has its event time moved on by the "
            "clock; 0: never"},
    {.name = "csv_delimiter",
     .type = SETTING_TEXT,
     .offset = INPUT(csv_delimiter),
     .fallback = ",",
     .doc = "One character; \\t is a tab"},
    {.name = "csv_comment",
     .type = SETTING_TEXT,
     .offset = INPUT(csv_comment),
     .doc = "One character that a line begins with which is no record, such as #"},
    {.name = "csv_header",
     .type = SETTING_BOOL,
     .offset = INPUT(csv_has_header),
     .fallback = "true",
     .doc = "The first line names the columns"},
    {.name = "csv_columns",
     .type = SETTING_LIST,
     .offset = INPUT(csv_columns),
     .doc = "Names of the columns in order, where no line of the file says them or in its place"},
    {.name = "csv_ragged",
     .type = SETTING_BOOL,
     .offset = INPUT(csv_is_ragged),
     .fallback = "false",
     .doc = "A record may have more fields than there are columns, which are passed over, or "
            "fewer, which are missing, as in logs that have grown; else it is a dead letter"},
    {.name = "allowed_lateness",
     .type = SETTING_DURATION,
     .offset = INPUT(allowed_lateness_ms),
     .fallback = "10s",
     .min = 0,
     .max = 7 * 864e5,
     .doc = "How far the watermark stays behind the newest event"},
    {.name = "max_ahead",
     .type = SETTING_DURATION,
     .offset = INPUT(max_ahead_ms),
     .fallback = "30d",
     .min = 1000,
     .max = 36500.0 * 864e5,
     .doc =
         "An event further ahead of the newest one is a dead letter, once two in a row agreed on "
         "the time"},
    {.name = "late_events",
     .type = SETTING_CHOICE,
     .offset = INPUT(late_events),
     .fallback = "process",
     .choices = late_names,
     .doc = "What becomes of events older than the watermark"},
};

#define STATE(member) offsetof(struct state_options, member)
static const struct setting state_settings[] = {
    {.name = "directory",
     .type = SETTING_TEXT,
     .offset = STATE(directory),
     .doc = "Where state and log stand; --state takes its place; by default OUTPUT/.state"},
    {.name = "memory",
     .type = SETTING_SIZE,
     .offset = STATE(memory_bytes),
     .fallback = "512MiB",
     .min = 134217728.0,
     .max = 1125899906842624.0, /* 2^50 */
     .doc = "What the whole process may hold in memory, caches and RocksDB included"},
    {.name = "preallocate",
     .type = SETTING_BOOL,
     .offset = STATE(is_preallocated),
     .fallback = "false",
     .doc = "Take the memory for records from the system at the start, not as it is needed: a "
            "machine that does not have it shows at once, and running waits for none of it"},
    {.name = "entities",
     .type = SETTING_LIST,
     .offset = STATE(entities),
     .fallback = "auto",
     .doc = "Entities beside the user that state is kept by: device, card, terminal, address, "
            "item; auto: device, card, terminal and address where there is one partition. Of a "
            "topic with several, those that are named (not item) each have tasks and topics of "
            "their own, which needs kafka.repartition"},
    {.name = "retention",
     .type = SETTING_DURATION,
     .offset = STATE(retention_ms),
     .fallback = "90d",
     .min = 0,
     .max = 36500.0 * 864e5,
     .doc = "A user not heard of for this long starts anew; 0: never"},
};

#define OUTPUT(member) offsetof(struct output_options, member)
static const struct setting output_settings[] = {
    {.name = "sink",
     .type = SETTING_CHOICE,
     .offset = OUTPUT(sink),
     .fallback = "files",
     .choices = input_source_names,
     .doc = "Files, or topics of section kafka; the same as input.source, since input and results "
            "are committed together"},
    {.name = "directory",
     .type = SETTING_TEXT,
     .offset = OUTPUT(directory),
     .fallback = "nudge-output",
     .doc = "Where the topics stand, a folder each; --output takes its place"},
    {.name = "format",
     .type = SETTING_CHOICE,
     .offset = OUTPUT(format),
     .fallback = "jsonl",
     .choices = output_format_names,
     .doc = "JSON lines or Avro container files"},
    {.name = "scored_events_share",
     .type = SETTING_NUMBER,
     .offset = OUTPUT(scored_events_share),
     .fallback = "0",
     .min = 0,
     .max = 1,
     .doc = "Share of events, chosen by hash, written with features and scores to scored_events"},
    {.name = "dead_letter_content",
     .type = SETTING_BOOL,
     .offset = OUTPUT(keeps_rejected_bytes),
     .fallback = "true",
     .doc = "Dead letters hold the bytes of the record, which may hold identities"},
};

#define COMMIT(member) offsetof(struct commit_options, member)
static const struct setting commit_settings[] = {
    {.name = "interval",
     .type = SETTING_DURATION,
     .offset = COMMIT(interval_ms),
     .fallback = "1s",
     .min = 1,
     .max = 36e5,
     .doc = "Time from the end of a commit to the beginning of the next, at most"},
    {.name = "events",
     .type = SETTING_INTEGER,
     .offset = COMMIT(events_max),
     .fallback = "100000",
     .min = 1,
     .max = 1e9,
     .doc = "Events after which a commit does not wait for its time"},
    {.name = "sync",
     .type = SETTING_BOOL,
     .offset = COMMIT(is_synced),
     .fallback = "true",
     .doc = "A commit survives loss of power, not only the end of the process"},
    {.name = "segment",
     .type = SETTING_SIZE,
     .offset = COMMIT(segment_bytes),
     .fallback = "64MiB",
     .min = 4096,
     .max = 1099511627776.0, /* 2^40 */
     .doc = "Size of a file of the log"},
};

#define PRIVACY(member) offsetof(struct privacy_options, member)
static const struct setting privacy_settings[] = {
    {.name = "key_file",
     .type = SETTING_PATH,
     .offset = PRIVACY(key_file),
     .doc = "File whose content is the secret that pseudonyms are made with"},
    {.name = "key_env",
     .type = SETTING_TEXT,
     .offset = PRIVACY(key_env),
     .doc = "Environment variable that holds the secret, instead of a file"},
};

#define RUN(member) offsetof(struct run_options, member)
static const struct setting run_settings[] = {
    {.name = "workers",
     .type = SETTING_INTEGER,
     .offset = RUN(workers),
     .fallback = "1",
     .min = 1,
     .max = 256,
     .doc = "Threads that share the partitions among them; --workers takes its place"},
    {.name = "batch",
     .type = SETTING_INTEGER,
     .offset = RUN(batch_events),
     .fallback = "1024",
     .min = 1,
     .max = BATCH_EVENTS_MAX,
     .doc = "Events of a batch at most"},
};

#define SECTION(variable, key, sentence, table, type)                                              \
    static const struct setting_section variable = {.name = (key),                                 \
                                                    .doc = (sentence),                             \
                                                    .settings = (table),                           \
                                                    .setting_count = COUNT_OF(table),              \
                                                    .options_bytes = sizeof(type)}

SECTION(input_section, "input", "Where events come from", input_settings, struct input_options);
SECTION(state_section, "state", "What is remembered of users", state_settings,
        struct state_options);
SECTION(output_section, "output", "Where results go", output_settings, struct output_options);
SECTION(commit_section, "commit", "When results are made durable", commit_settings,
        struct commit_options);
SECTION(privacy_section, "privacy", "How identities are hidden", privacy_settings,
        struct privacy_options);
SECTION(run_section, "run", "How the work is done", run_settings, struct run_options);

#define OWN(variable, member)                                                                      \
    {                                                                                              \
        &(variable), offsetof(struct config, member)                                               \
    }
const struct config_section config_own_sections[CONFIG_OWN_SECTIONS] = {
    OWN(input_section, input),
    OWN(state_section, state),
    OWN(output_section, output),
    OWN(commit_section, commit),
    OWN(privacy_section, privacy),
    OWN(run_section, run),
    OWN(metrics_section, metrics),
    OWN(kafka_section, kafka),
    OWN(schema_registry_section, schema_registry),
};
