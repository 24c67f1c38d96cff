/* Nanoseconds to write a record of 20 fields, such as sessions and alerts have. */
#include <stdio.h>
#include <time.h>

#include "pipeline/output/output_internal.h"

#define ROUNDS 300
#define RECORDS 2048

static const struct output_field fields[] = {
    {.name = "event_id", .type = OUTPUT_TEXT, .is_nullable = true},
    {.name = "partition", .type = OUTPUT_TEXT},
    {.name = "ordinal", .type = OUTPUT_LONG},
    {.name = "user", .type = OUTPUT_TEXT},
    {.name = "time", .type = OUTPUT_TIME},
    {.name = "watermark", .type = OUTPUT_TIME},
    {.name = "type", .type = OUTPUT_TEXT},
    {.name = "item", .type = OUTPUT_TEXT, .is_nullable = true},
    {.name = "category", .type = OUTPUT_TEXT, .is_nullable = true},
    {.name = "session_id", .type = OUTPUT_TEXT},
    {.name = "events", .type = OUTPUT_LONG},
    {.name = "revision", .type = OUTPUT_LONG},
    {.name = "spend", .type = OUTPUT_DOUBLE},
    {.name = "fraud", .type = OUTPUT_FLOAT, .is_nullable = true},
    {.name = "purchase", .type = OUTPUT_FLOAT, .is_nullable = true},
    {.name = "abandon", .type = OUTPUT_FLOAT, .is_nullable = true},
    {.name = "is_late", .type = OUTPUT_BOOL},
    {.name = "outcome", .type = OUTPUT_TEXT},
    {.name = "bounced_by", .type = OUTPUT_TEXT, .is_nullable = true},
    {.name = "epoch", .type = OUTPUT_LONG},
};
static const struct output_schema schema = {"bench", "Bench.", fields, 20};

static void write_record(struct output_batch *batch, int64_t i)
{
    struct key128 key = {UINT64_C(0x9E3779B97F4A7C15) * (uint64_t)i, (uint64_t)i};
    int64_t time_ms = INT64_C(1569888000000) + i * 137;
    struct output_writer *writer = output_begin(batch, TOPIC_ALERTS, key, time_ms);
    output_text(writer, text_of("0f8fad5b-d9cb-469f-a165-70867728950e"));
    output_text(writer, text_of("clicks-0"));
    output_long(writer, 1000000 + i);
    output_key(writer, key);
    output_time(writer, time_ms);
    output_time(writer, time_ms - 60000);
    output_text(writer, text_of("add_to_cart"));
    output_text(writer, text_of("44600062"));
    output_text(writer, text_of("electronics.smartphone"));
    output_id(writer, key.high);
    output_long(writer, i & 31);
    output_long(writer, 0);
    output_double(writer, (double)(i % 100000) / 100.0);
    output_float(writer, (float)(i % 997) / 997.0f);
    output_float(writer, (float)(i % 499) / 499.0f);
    output_null(writer);
    output_bool(writer, (i & 1) != 0);
    output_text(writer, text_of("abandoned_cart"));
    output_null(writer);
    output_long(writer, 3);
    output_end(writer);
}

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(enum output_format format, const char *name)
{
    struct output_topic topics[TOPIC_COUNT];
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        topics[topic] = (struct output_topic){"bench", &schema};
    }
    struct output_batch *batch;
    struct error error;
    if (output_batch_create_for(topics, format, &batch, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return;
    }
    double best_ns = 1e18;
    uint64_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        output_batch_reset(batch);
        double start_ns = now_ns();
        for (int i = 0; i < RECORDS; i++) {
            write_record(batch, (int64_t)round * RECORDS + i);
        }
        double took_ns = (now_ns() - start_ns) / RECORDS;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        bytes = output_batch_bytes(batch) / RECORDS;
    }
    (void)printf("%s: %.0f ns a record of 20 fields, %llu bytes\n", name, best_ns,
                 (unsigned long long)bytes);
    output_batch_destroy(batch);
}

int main(void)
{
    measure(OUTPUT_JSONL, "json lines");
    measure(OUTPUT_AVRO, "avro");
    return 0;
}
