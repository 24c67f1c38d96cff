#include "test/fakes/output_random.h"

#include <math.h>

double random_double(struct random *random, bool may_be_special)
{
    switch (random_below(random, 4)) {
    case 0:
        return (double)(int64_t)random_next(random) / 9007199254740992.0;
    case 1:
        return (double)random_below(random, 100000) / 100.0 - 200.0;
    case 2:
        return may_be_special ? (double[]){NAN, INFINITY, -INFINITY, -0.0}[random_below(random, 4)]
                              : -0.0;
    default:
        for (;;) {
            uint64_t bits = random_next(random);
            double value;
            memcpy(&value, &bits, sizeof(value));
            if (may_be_special || isfinite(value)) {
                return value;
            }
        }
    }
}

static float random_float(struct random *random, bool may_be_special)
{
    for (;;) {
        uint32_t bits = (uint32_t)random_next(random);
        float value;
        memcpy(&value, &bits, sizeof(value));
        if (random_below(random, 2) == 0) {
            value = (float)random_double(random, false) + 0.25f;
        }
        if (may_be_special || isfinite(value)) {
            return value;
        }
    }
}

/* One piece of up to 4 bytes: ASCII, control, valid UTF-8 of each length, or anything. */
static uint32_t random_piece(struct random *random, char *to)
{
    static const char *const pieces[] = {
        "\"",           "\\",       "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
        "\xED\xA0\x80", "\xC0\x80", "\xF4\x90", "\xE2\x82",     "\xEF\xBF\xBE",
        "\x7F",         "plain12"};
    switch (random_below(random, 4)) {
    case 0:
        *to = (char)random_below(random, 256);
        return 1;
    case 1:
        *to = (char)random_below(random, 0x20);
        return 1;
    case 2:
        *to = (char)('a' + random_below(random, 26));
        return 1;
    default:
        break;
    }
    const char *piece = pieces[random_below(random, sizeof(pieces) / sizeof(pieces[0]))];
    uint32_t length = 0;
    for (; piece[length]; length++) {
        to[length] = piece[length];
    }
    return length;
}

static struct text random_text(struct random *random, struct arena *arena)
{
    /* Now and then long enough to be taken in several pieces. */
    uint32_t most = random_below(random, 50) == 0 ? 10000 : 40;
    uint32_t length = random_below(random, most);
    char *data = arena_take(arena, (size_t)length + 8);
    uint32_t used = 0;
    while (used < length) {
        used += random_piece(random, data + used);
    }
    return (struct text){data, used};
}

/* Names of a map differ from each other, and have no zero byte, at which Avro C cuts them. */
static struct text random_name(struct random *random, struct arena *arena, uint32_t index)
{
    struct text name = random_text(random, arena);
    char *data = arena_take(arena, (size_t)name.length + 1);
    data[0] = (char)('A' + index);
    for (uint32_t i = 0; i < name.length; i++) {
        const char byte = name.data[i];
        data[1 + i] = byte;
        if (byte == '\0') {
            data[1 + i] = '0';
        }
    }
    return (struct text){data, name.length + 1};
}

static struct sample_term random_term(struct random *random, struct arena *arena)
{
    return (struct sample_term){random_text(random, arena), random_float(random, true)};
}

static void fill_entries(struct random *random, struct arena *arena, struct sample *sample)
{
    sample->record_count = random_below(random, SAMPLE_ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < sample->record_count; i++) {
        sample->records[i] = random_term(random, arena);
    }
    sample->float_count = random_below(random, SAMPLE_ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < sample->float_count; i++) {
        sample->floats[i] = random_float(random, true);
    }
    sample->long_count = random_below(random, SAMPLE_ENTRIES_MAX + 1);
    sample->text_count = random_below(random, SAMPLE_ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < SAMPLE_ENTRIES_MAX; i++) {
        sample->longs[i] = (struct sample_entry){.name = random_name(random, arena, i),
                                                 .number = (int64_t)random_next(random)};
        sample->texts[i] = (struct sample_entry){.name = random_name(random, arena, i),
                                                 .text = random_text(random, arena)};
    }
}

struct sample sample_random(struct random *random, struct arena *arena)
{
    struct sample sample = {
        .text = random_text(random, arena),
        .number = (int64_t)(random_next(random) >> random_below(random, 64)),
        .real = random_double(random, false),
        .small_real = random_float(random, false),
        .flag = random_below(random, 2) == 0,
        .time_ms =
            (int64_t)(random_next(random) % UINT64_C(100000000000000)) - INT64_C(30000000000000),
        .bytes = random_text(random, arena),
        .record = random_term(random, arena),
        .has_maybe_record = random_below(random, 2) == 0,
        .key = {random_next(random), random_next(random)},
        .id = random_next(random),
    };
    if (random_below(random, 2) == 0) {
        sample.maybe_text = random_text(random, arena);
    }
    sample.number = random_below(random, 2) == 0 ? sample.number : -sample.number;
    fill_entries(random, arena, &sample);
    return sample;
}
