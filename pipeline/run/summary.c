#include "pipeline/run/summary.h"

#include <errno.h>
#include <string.h>

#include "pipeline/base/iso_time.h"
#include "pipeline/base/json_text.h"
#include "pipeline/run/stages.h"

struct named_counter {
    const char *name;
    size_t offset;
};

#define COUNTER_ROW(counter_name, doc)                                                             \
    {.name = #counter_name, .offset = offsetof(struct task_counters, counter_name)},
static const struct named_counter named_counters[] = {TASK_COUNTERS(COUNTER_ROW)};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t counter_at(const struct task_counters *counters, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)counters + offset, sizeof(value));
    return value;
}

static uint64_t dead_letter_count(const struct task_counters *counters)
{
    uint64_t count = 0;
    for (int reason = 0; reason < REJECTION_COUNT; reason++) {
        count += counters->dead_letters[reason];
    }
    return count;
}

static double per_second(uint64_t events, double seconds)
{
    return seconds > 0 ? (double)events / seconds : 0;
}

static void print_stages(const struct runner_result *result, FILE *out)
{
    double events = (double)result->events_this_run;
    (void)fprintf(out, "CPU of the workers, ns an event: intake %.0f",
                  (double)result->stage_ns[0] / events);
    uint32_t count = 0;
    for (; stage_infos[count]; count++) {
        (void)fprintf(out, ", %s %.0f", stage_infos[count]->name,
                      (double)result->stage_ns[1 + count] / events);
    }
    (void)fprintf(out, ", commit %.0f\n", (double)result->stage_ns[1 + count] / events);
}

void summary_print(const struct runner_result *result, const struct config *config, FILE *out)
{
    const struct task_counters *counters = &result->counters;
    char reached[40] = "-";
    if (result->watermark_ms != INT64_MIN) {
        reached[iso_time_format(result->watermark_ms, reached)] = '\0';
    }
    (void)fprintf(out, "%s: %s\n", config->name,
                  result->was_stopped ? "stopped; run it again to go on" : "done");
    for (size_t i = 0; i < COUNT_OF(named_counters); i++) {
        uint64_t value = counter_at(counters, named_counters[i].offset);
        if (value > 0) {
            (void)fprintf(out, "  %-22s %12llu\n", named_counters[i].name,
                          (unsigned long long)value);
        }
    }
    for (uint32_t i = 0; i < result->stage_counter_count; i++) {
        (void)fprintf(out, "  %-22s %12llu\n", result->stage_counters[i].name,
                      (unsigned long long)result->stage_counters[i].value);
    }
    (void)fprintf(out, "  %-22s %12llu\n", "dead_letters",
                  (unsigned long long)dead_letter_count(counters));
    for (int reason = 0; reason < REJECTION_COUNT; reason++) {
        if (counters->dead_letters[reason] > 0) {
            (void)fprintf(out, "    %-20s %12llu\n", rejection_names[reason],
                          (unsigned long long)counters->dead_letters[reason]);
        }
    }
    (void)fprintf(out, "records written\n");
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        (void)fprintf(out, "  %-22s %12llu\n", output_topics[topic].name,
                      (unsigned long long)counters->outputs[topic]);
    }
    (void)fprintf(out, "event time reached %s\n", reached);
    if (result->events_this_run == 0) {
        const char *why = result->was_stopped          ? "nothing new was read before the stop"
                          : counters->events_read == 0 ? "the input is empty"
                                                       : "the input had nothing new: all of it "
                                                         "was read before";
        (void)fprintf(out, "%s\n", why);
        return;
    }
    (void)fprintf(out,
                  "%llu events in %.2f s (%.0f a second), %.2f s of CPU (%.0f a CPU second), peak "
                  "memory %llu MiB, %llu commits\n",
                  (unsigned long long)result->events_this_run, result->elapsed_seconds,
                  per_second(result->events_this_run, result->elapsed_seconds), result->cpu_seconds,
                  per_second(result->events_this_run, result->cpu_seconds),
                  (unsigned long long)(result->peak_memory_bytes >> 20),
                  (unsigned long long)result->commits);
    print_stages(result, out);
}

static void append_count(struct byte_buffer *json, const char *name, uint64_t value)
{
    json_append_name(json, name);
    json_append_long(json, (int64_t)value);
}

static void append_number(struct byte_buffer *json, const char *name, double value)
{
    json_append_name(json, name);
    json_append_double(json, value);
}

static void append_counters(struct byte_buffer *json, const struct task_counters *counters)
{
    for (size_t i = 0; i < COUNT_OF(named_counters); i++) {
        append_count(json, named_counters[i].name, counter_at(counters, named_counters[i].offset));
    }
    json_append_name(json, "dead_letters");
    json_append_raw(json, "{");
    append_count(json, "total", dead_letter_count(counters));
    json_append_name(json, "by_reason");
    json_append_raw(json, "{");
    for (int reason = REJECTION_NONE + 1; reason < REJECTION_COUNT; reason++) {
        append_count(json, rejection_names[reason], counters->dead_letters[reason]);
    }
    json_append_raw(json, "}}");
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        /* The others are counted under these names already, by event or by session. */
        if (topic != TOPIC_DEAD_LETTERS && topic != TOPIC_LATE_EVENTS && topic != TOPIC_SESSIONS) {
            append_count(json, output_topics[topic].name, counters->outputs[topic]);
        }
    }
    json_append_name(json, "events_by_type");
    json_append_raw(json, "{");
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        append_count(json, event_types[type].name, counters->events_by_type[type]);
    }
    json_append_raw(json, "}");
}

static void append_stages(struct byte_buffer *json, const struct runner_result *result)
{
    json_append_name(json, "stage_cpu_ns");
    json_append_raw(json, "{");
    append_count(json, "intake", result->stage_ns[0]);
    uint32_t count = 0;
    for (; stage_infos[count]; count++) {
        append_count(json, stage_infos[count]->name, result->stage_ns[1 + count]);
    }
    append_count(json, "commit", result->stage_ns[1 + count]);
    json_append_raw(json, "}");
}

static void append_all(struct byte_buffer *json, const struct runner_result *result,
                       const struct config *config)
{
    json_append_raw(json, "{");
    json_append_name(json, "name");
    json_append_text(json, text_of(config->name));
    json_append_name(json, "was_stopped");
    json_append_bool(json, result->was_stopped);
    append_counters(json, &result->counters);
    for (uint32_t i = 0; i < result->stage_counter_count; i++) {
        append_count(json, result->stage_counters[i].name, result->stage_counters[i].value);
    }
    append_count(json, "session_records", result->counters.outputs[TOPIC_SESSIONS]);
    append_count(json, "late_event_records", result->counters.outputs[TOPIC_LATE_EVENTS]);
    json_append_name(json, "event_time_reached");
    if (result->watermark_ms == INT64_MIN) {
        json_append_null(json);
    } else {
        json_append_time(json, result->watermark_ms);
    }
    append_count(json, "events_this_run", result->events_this_run);
    append_number(json, "elapsed_seconds", result->elapsed_seconds);
    append_number(json, "cpu_seconds", result->cpu_seconds);
    append_count(json, "peak_memory_bytes", result->peak_memory_bytes);
    append_count(json, "commits", result->commits);
    append_count(json, "cache_hits", result->cache.hits);
    append_count(json, "cache_misses", result->cache.misses);
    append_count(json, "cache_new_records", result->cache.new_records);
    append_count(json, "store_records_written", result->cache.records_written);
    append_count(json, "store_bytes_written", result->cache.bytes_written);
    append_count(json, "state_parts_cold", result->cache.decode.parts_cold);
    append_stages(json, result);
    json_append_raw(json, "}\n");
}

/* Under another name first, so that nobody ever reads half of it. */
static enum status replace_file(const char *path, const struct byte_buffer *content,
                                struct error *error)
{
    char temporary[4096];
    int length = snprintf(temporary, sizeof(temporary), "%s.part", path);
    if (length < 0 || (size_t)length >= sizeof(temporary)) {
        return error_set(error, STATUS_INVALID, "%s: path too long", path);
    }
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        return error_set(error, STATUS_FATAL, "%s: %s", temporary, strerror(errno));
    }
    bool is_written = fwrite(content->bytes, 1, content->length, file) == content->length;
    is_written = fclose(file) == 0 && is_written;
    if (!is_written || rename(temporary, path) != 0) {
        int cause = errno;
        (void)remove(temporary);
        return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(cause));
    }
    return STATUS_OK;
}

enum status summary_write(const struct runner_result *result, const struct config *config,
                          const char *path, struct error *error)
{
    struct byte_buffer json = {0};
    append_all(&json, result, config);
    enum status status = json.has_failed ? error_set(error, STATUS_FATAL, "%s: out of memory", path)
                                         : replace_file(path, &json, error);
    byte_buffer_release(&json);
    return status;
}
