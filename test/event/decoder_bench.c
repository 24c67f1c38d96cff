/*
 * Nanoseconds an event for each format: splitting alone, and with the decoder; what the mapping
 * then does is measured by its own benchmark. Beside them libcsv on the same CSV file, as the
 * yardstick for splitting fields in place.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <csv.h>

#include "pipeline/event/decoder.h"
#include "test/event/mapping_stub.h"
#include "test/fakes/fixture.h"

#define EVENTS 100000
#define ROUNDS 3

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void put_long(FILE *file, int64_t value)
{
    uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (; zigzag >= 0x80; zigzag >>= 7) {
        (void)fputc((int)(zigzag & 0x7f) | 0x80, file);
    }
    (void)fputc((int)zigzag, file);
}

static void put_text(FILE *file, const char *text)
{
    put_long(file, (int64_t)strlen(text));
    (void)fwrite(text, 1, strlen(text), file);
}

/* The texts of a usual event, in order of enum event_field; NULL: null. */
struct sample {
    char values[EVENT_FIELD_COUNT][160];
    bool has[EVENT_FIELD_COUNT];
};

#define SET(sample, field, ...)                                                                    \
    ((sample)->has[field] = true,                                                                  \
     (void)snprintf((sample)->values[field], sizeof((sample)->values[field]), __VA_ARGS__))

static void make_sample(struct sample *sample, unsigned i)
{
    *sample = (struct sample){.has = {false}};
    SET(sample, FIELD_EVENT_ID, "e-%08x-%04x", i * 2654435761u, i & 0xffff);
    SET(sample, FIELD_SHOP, "shop-1");
    SET(sample, FIELD_USER_ID, "user-%u", (i * 7919u) % 20000);
    SET(sample, FIELD_DEVICE_ID, "device-%u", (i * 104729u) % 30000);
    SET(sample, FIELD_SESSION_HINT, "72d76fde-8bb3-4e00-8c23-%012u", i / 8);
    SET(sample, FIELD_TYPE_WORD, i % 5 ? "product_view" : "add_to_cart");
    SET(sample, FIELD_ITEM, "item-%u", (i * 31u) % 5000);
    SET(sample, FIELD_CATEGORY, "electronics.audio.headphone");
    SET(sample, FIELD_BRAND, "brand-%u", i % 100);
    SET(sample, FIELD_CURRENCY, "EUR");
    SET(sample, FIELD_URL, "https://shop.example/product/%u?ref=search", i % 5000);
    SET(sample, FIELD_IP, "203.0.%u.%u", i % 256, (i / 256) % 256);
    SET(sample, FIELD_USER_AGENT,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0");
    SET(sample, FIELD_EVENT_TIME, "%llu", 1700000000000ull + i * 37ull);
    SET(sample, FIELD_PRICE, "%u", 35790000 + i % 1000);
    SET(sample, FIELD_QUANTITY, "1");
}

/* Order of the fields in the schema that ships. */
static void put_avro(FILE *file, const struct sample *sample, const enum event_field *order)
{
    for (int i = 0; i < EVENT_FIELD_COUNT; i++) {
        enum event_field field = order[i];
        const char *value = sample->values[field];
        if (field == FIELD_EVENT_TIME) {
            put_long(file, strtoll(value, NULL, 10));
        } else if (field == FIELD_TYPE_WORD) {
            put_text(file, value);
        } else {
            put_long(file, sample->has[field]);
            if (sample->has[field] && field < TEXT_FIELD_COUNT) {
                put_text(file, value);
            } else if (sample->has[field]) {
                put_long(file, strtoll(value, NULL, 10));
            }
        }
    }
}

static char *load(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert(file);
    char *text = calloc(1, 65536);
    size_t length = fread(text, 1, 65535, file);
    (void)length;
    (void)fclose(file);
    return text;
}

/* The fields of the schema in its own order, found by their names. */
static void find_order(const char *schema, enum event_field *order)
{
    int count = 0;
    for (const char *at = strstr(schema, "\"fields\"");
         (at = strstr(at, "{\"name\": \"")) != NULL;) {
        at += strlen("{\"name\": \"");
        struct text name = {at, (uint32_t)strcspn(at, "\"")};
        order[count++] = event_field_of(name);
    }
    assert(count == EVENT_FIELD_COUNT);
}

static void write_avro(const char *path)
{
    char *schema = load("schemas/click_event.avsc");
    enum event_field order[EVENT_FIELD_COUNT];
    find_order(schema, order);
    FILE *file = fopen(path, "wb");
    assert(file);
    (void)fwrite("Obj\1", 1, 4, file);
    put_long(file, 1);
    put_text(file, "avro.schema");
    put_text(file, schema);
    put_long(file, 0);
    (void)fwrite("0123456789abcdef", 1, 16, file);
    for (unsigned first = 0; first < EVENTS; first += 200) {
        char *block = NULL;
        size_t length = 0;
        FILE *memory = open_memstream(&block, &length);
        for (unsigned i = first; i < first + 200; i++) {
            struct sample sample;
            make_sample(&sample, i);
            put_avro(memory, &sample, order);
        }
        (void)fclose(memory);
        put_long(file, 200);
        put_long(file, (int64_t)length);
        (void)fwrite(block, 1, length, file);
        (void)fwrite("0123456789abcdef", 1, 16, file);
        free(block);
    }
    (void)fclose(file);
    free(schema);
}

static void write_jsonl(const char *path)
{
    FILE *file = fopen(path, "wb");
    assert(file);
    for (unsigned i = 0; i < EVENTS; i++) {
        struct sample sample;
        make_sample(&sample, i);
        char separator = '{';
        for (int field = 0; field < FIELD_ATTRIBUTES; field++) {
            const char *quote = field < TEXT_FIELD_COUNT ? "\"" : "";
            if (sample.has[field]) {
                (void)fprintf(file, "%c\"%s\":%s%s%s", separator, event_fields[field].name, quote,
                              sample.values[field], quote);
                separator = ',';
            }
        }
        (void)fputs("}\n", file);
    }
    (void)fclose(file);
}

static void write_csv(const char *path)
{
    FILE *file = fopen(path, "wb");
    assert(file);
    for (int row = -1; row < EVENTS; row++) {
        struct sample sample;
        make_sample(&sample, row < 0 ? 0 : (unsigned)row);
        const char *separator = "";
        for (int field = 0; field < FIELD_ATTRIBUTES; field++) {
            if (sample.has[field]) {
                const char *quote = row >= 0 && field == FIELD_USER_AGENT ? "\"" : "";
                (void)fprintf(file, "%s%s%s%s", separator, quote,
                              row < 0 ? event_fields[field].name : sample.values[field], quote);
                separator = ",";
            }
        }
        (void)fputc('\n', file);
    }
    (void)fclose(file);
}

static void write_log(const char *path)
{
    FILE *file = fopen(path, "wb");
    assert(file);
    for (unsigned i = 0; i < EVENTS; i++) {
        struct sample sample;
        make_sample(&sample, i);
        (void)fprintf(file,
                      "%s - - [26/Jan/2019:19:45:25 +0330] \"GET /product/%u?ref=search HTTP/1.1\" "
                      "200 %u \"%s\" \"%s\" \"-\"\n",
                      sample.values[FIELD_IP], i % 5000, 1000 + i % 999, sample.values[FIELD_URL],
                      sample.values[FIELD_USER_AGENT]);
    }
    (void)fclose(file);
}

static void complain(const struct error *error)
{
    (void)fprintf(stderr, "%s\n", error->message);
    exit(1);
}

/* Reads the whole file; seconds of CPU. */
static double run(const struct source_options *options, struct mapping *mapping, bool decodes,
                  struct event_batch *batch)
{
    struct error error = {""};
    struct source *source = NULL;
    struct decoder *decoder = NULL;
    struct input_position start = {0};
    if (source_open(options, &start, &source, &error) != STATUS_OK ||
        decoder_create(mapping, options, source, &decoder, &error) != STATUS_OK) {
        complain(&error);
    }
    double begin = now_s();
    enum source_result result = SOURCE_RECORD;
    uint32_t rows = 0;
    while (result == SOURCE_RECORD) {
        event_batch_reset(batch);
        source_release(source);
        for (uint32_t row = 0; row < BATCH_EVENTS_MAX; row++) {
            struct raw_record record;
            struct rejection rejection;
            if (source_next(source, &record, &result, &error) != STATUS_OK) {
                complain(&error);
            }
            if (result != SOURCE_RECORD) {
                break;
            }
            rows++;
            if (decodes &&
                decoder_decode(decoder, &record, batch, row, &rejection) == MAPPING_REJECTED) {
                (void)snprintf(error.message, sizeof(error.message), "%s", rejection.detail);
                complain(&error);
            }
        }
    }
    double elapsed = now_s() - begin;
    assert(rows == EVENTS);
    decoder_destroy(decoder);
    source_close(source);
    return elapsed;
}

static void report(const char *name, const struct source_options *options, struct mapping *mapping,
                   struct event_batch *batch)
{
    double best[2] = {1e9, 1e9};
    for (int round = 0; round < ROUNDS; round++) {
        for (int decodes = 0; decodes < 2; decodes++) {
            double elapsed = run(options, mapping, decodes, batch);
            best[decodes] = elapsed < best[decodes] ? elapsed : best[decodes];
        }
    }
    printf("%-12s split %6.0f   split and decode %6.0f ns an event\n", name, best[0] / EVENTS * 1e9,
           best[1] / EVENTS * 1e9);
}

static void count_field(void *field, size_t length, void *context)
{
    (void)field;
    *(size_t *)context += length;
}

static void report_libcsv(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert(file);
    size_t room = 64u << 20;
    char *bytes = malloc(room);
    size_t length = fread(bytes, 1, room, file);
    (void)fclose(file);
    struct csv_parser parser;
    size_t total = 0;
    (void)csv_init(&parser, 0);
    double begin = now_s();
    (void)csv_parse(&parser, bytes, length, count_field, NULL, &total);
    double elapsed = now_s() - begin;
    csv_free(&parser);
    free(bytes);
    printf("%-12s fields by libcsv, nothing else  %6.0f ns an event (%zu bytes)\n", "csv",
           elapsed / EVENTS * 1e9, total);
}

static char csv_fields[][20] = {"event_time", "type",  "user_id", "item",      "category",
                                "brand",      "price", "ip",      "user_agent"};
static char log_fields[][20] = {"time",   "remote_address", "path",      "query.ref",
                                "status", "referrer",       "user_agent"};

static void want(struct mapping *mapping, char (*names)[20], size_t count)
{
    mapping->wanted.items = calloc(count, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        mapping->wanted.items[i] = names[i];
    }
    mapping->wanted.count = count;
}

int main(void)
{
    char *directory = fixture_directory();
    char path[4200];
    struct event_batch batch;
    struct error error = {""};
    if (event_batch_init(&batch, 0, &error) != STATUS_OK) {
        complain(&error);
    }
    static struct mapping canonical = {.is_canonical = true};
    static struct mapping columns;
    static struct mapping requests;
    want(&columns, csv_fields, sizeof(csv_fields) / sizeof(csv_fields[0]));
    want(&requests, log_fields, sizeof(log_fields) / sizeof(log_fields[0]));
    struct source_options options = {.path = path, .csv_has_header = true};
    (void)snprintf(path, sizeof(path), "%s/events", directory);
    write_avro(path);
    options.format = INPUT_AVRO;
    report("avro", &options, &canonical, &batch);
    write_jsonl(path);
    options.format = INPUT_JSONL;
    report("jsonl", &options, &canonical, &batch);
    write_csv(path);
    options.format = INPUT_CSV;
    report("csv", &options, &columns, &batch);
    report_libcsv(path);
    write_log(path);
    options.format = INPUT_COMBINED_LOG;
    report("log", &options, &requests, &batch);
    event_batch_release(&batch);
    fixture_remove(directory);
    free(directory);
    return 0;
}
