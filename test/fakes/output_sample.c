#include "test/fakes/output_sample.h"

#include <math.h>

static const struct output_field term_fields[] = {
    {.name = "name", .type = OUTPUT_TEXT, .doc = "Name."},
    {.name = "value", .type = OUTPUT_FLOAT, .is_nullable = true, .doc = "Value \"quoted\"."},
};
static const struct output_schema term_schema = {"term", "A term.", term_fields, 2};

static const struct output_field sample_fields[] = {
    {.name = "text", .type = OUTPUT_TEXT, .doc = "Text."},
    {.name = "long", .type = OUTPUT_LONG, .doc = "Long."},
    {.name = "double", .type = OUTPUT_DOUBLE, .doc = "Double."},
    {.name = "float", .type = OUTPUT_FLOAT, .doc = "Float."},
    {.name = "bool", .type = OUTPUT_BOOL, .doc = "Bool."},
    {.name = "time", .type = OUTPUT_TIME, .doc = "Time."},
    {.name = "bytes", .type = OUTPUT_BYTES, .privacy = PRIVACY_CONTENT, .doc = "Bytes."},
    {.name = "record", .type = OUTPUT_RECORD, .doc = "Record.", .record = &term_schema},
    {.name = "records", .type = OUTPUT_RECORD_ARRAY, .doc = "Records.", .record = &term_schema},
    {.name = "floats", .type = OUTPUT_FLOAT_ARRAY, .doc = "Floats."},
    {.name = "longs", .type = OUTPUT_LONG_MAP, .doc = "Longs."},
    {.name = "texts", .type = OUTPUT_TEXT_MAP, .doc = "Texts."},
    {.name = "maybe_text", .type = OUTPUT_TEXT, .is_nullable = true, .doc = "Text or null."},
    {.name = "maybe_record",
     .type = OUTPUT_RECORD,
     .is_nullable = true,
     .doc = "Record or null.",
     .record = &term_schema},
    {.name = "key", .type = OUTPUT_TEXT, .privacy = PRIVACY_QUASI, .doc = "Key."},
    {.name = "id", .type = OUTPUT_TEXT, .doc = "Id."},
};
static const struct output_schema sample_schema = {"sample", "A field of each type.", sample_fields,
                                                   sizeof(sample_fields) /
                                                       sizeof(sample_fields[0])};

const struct output_topic *sample_topics(void)
{
    static const struct output_topic topics[TOPIC_COUNT] = {
        {"alerts", &sample_schema},        {"promotions", &sample_schema},
        {"sessions", &sample_schema},      {"decisions", &sample_schema},
        {"dead_letters", &sample_schema},  {"late_events", &sample_schema},
        {"scored_events", &sample_schema},
    };
    return topics;
}

struct sample sample_full(void)
{
    return (struct sample){
        .text = text_of("a\"b\\c\n\x01\xC3\xBC"),
        .number = -42,
        .real = 0.1,
        .small_real = 0.1f,
        .flag = true,
        .time_ms = INT64_C(1569888000007),
        .bytes = {"\x00\x01\x02\xFF", 4},
        .record = {text_of("n"), 2.5f},
        .records = {{text_of("x"), 1}, {text_of("y"), NAN}},
        .record_count = 2,
        .floats = {1.5f, NAN, -0.25f},
        .float_count = 3,
        .longs = {{text_of("purchase"), {0}, 2}, {text_of("search"), {0}, 1}},
        .long_count = 2,
        .texts = {{text_of("k"), text_of("v"), 0}},
        .text_count = 1,
        .key = {UINT64_C(0x0123456789abcdef), 0xFF},
        .id = UINT64_C(0xdeadbeef),
    };
}

static void write_term(struct output_writer *writer, const struct sample_term *term)
{
    output_record_begin(writer);
    output_text(writer, term->name);
    output_float(writer, term->value);
    output_record_end(writer);
}

static void write_nested(struct output_writer *writer, const struct sample *sample)
{
    write_term(writer, &sample->record);
    output_array_begin(writer, sample->record_count);
    for (uint32_t i = 0; i < sample->record_count; i++) {
        write_term(writer, &sample->records[i]);
    }
    output_array_end(writer);
    output_float_array(writer, sample->floats, sample->float_count);
    output_map_begin(writer, sample->long_count);
    for (uint32_t i = 0; i < sample->long_count; i++) {
        output_map_name(writer, sample->longs[i].name);
        output_long(writer, sample->longs[i].number);
    }
    output_map_end(writer);
    output_map_begin(writer, sample->text_count);
    for (uint32_t i = 0; i < sample->text_count; i++) {
        output_map_name(writer, sample->texts[i].name);
        output_text(writer, sample->texts[i].text);
    }
    output_map_end(writer);
}

void sample_write(struct output_batch *batch, enum topic topic, const struct sample *sample)
{
    struct output_writer *writer = output_begin(batch, topic, sample->key, sample->time_ms);
    output_text(writer, sample->text);
    output_long(writer, sample->number);
    output_double(writer, sample->real);
    output_float(writer, sample->small_real);
    output_bool(writer, sample->flag);
    output_time(writer, sample->time_ms);
    output_bytes(writer, sample->bytes.data, sample->bytes.length);
    write_nested(writer, sample);
    if (sample->maybe_text.data) {
        output_text(writer, sample->maybe_text);
    } else {
        output_null(writer);
    }
    if (sample->has_maybe_record) {
        write_term(writer, &sample->record);
    } else {
        output_null(writer);
    }
    output_key(writer, sample->key);
    output_id(writer, sample->id);
    output_end(writer);
}
