#include "pipeline/run/row_slices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/base/hash.h"
#include "pipeline/config/yaml.h"
#include "pipeline/run/device_kind.h"

#define DAY_MS 86400000
#define HOUR_MS 3600000
#define ENTRY_PREFIX "attributes."

const char *const slice_dimension_names[SLICE_DIMENSION_COUNT] = {"channel", "device", "visitor",
                                                                  "hour", "attribute"};

static void clean_word(struct text word, char *copy)
{
    uint32_t length = word.length < SLICE_WORD_BYTES_MAX ? word.length : SLICE_WORD_BYTES_MAX;
    /* Not within a character of UTF-8. */
    while (length < word.length && length > 0 &&
           ((unsigned char)word.data[length] & 0xC0) == 0x80) {
        length--;
    }
    for (uint32_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)word.data[i];
        copy[i] = (char)byte;
        if (byte < 0x20 || byte == 0x7F) {
            copy[i] = '?';
        }
    }
    copy[length] = '\0';
}

static enum status keep_word(struct slice_words *words, struct text word, struct error *error)
{
    char *copy = malloc(SLICE_WORD_BYTES_MAX + 1);
    char **larger = (char **)realloc((void *)words->words, (words->count + 1) * sizeof(*larger));
    words->words = larger ? larger : words->words;
    if (!copy || !larger) {
        free(copy);
        return error_set(error, STATUS_FATAL, "slices: out of memory");
    }
    clean_word(word, copy);
    words->words[words->count++] = copy;
    return STATUS_OK;
}

static enum status code_of(struct slice_words *words, uint32_t most, struct text word,
                           uint16_t *ret_code, struct error *error)
{
    if (word.length == 0) {
        *ret_code = SLICE_MISSING;
        return STATUS_OK;
    }
    uint64_t hash = hash64(word);
    hash = hash ? hash : 1;
    uint32_t number = key_map_find(&words->numbers, hash);
    if (number == KEY_MAP_NONE && words->count == most) {
        *ret_code = SLICE_BEYOND;
        return STATUS_OK;
    }
    if (number == KEY_MAP_NONE) {
        number = key_map_add(&words->numbers, hash);
        enum status status = number == KEY_MAP_NONE
                                 ? error_set(error, STATUS_FATAL, "slices: out of memory")
                                 : keep_word(words, word, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    *ret_code = (uint16_t)(SLICE_FIRST + number);
    return STATUS_OK;
}

static void words_release(struct slice_words *words)
{
    for (uint32_t i = 0; i < words->count; i++) {
        free(words->words[i]);
    }
    free((void *)words->words);
    key_map_release(&words->numbers);
    *words = (struct slice_words){0};
}

void row_slices_release(struct row_slices *slices)
{
    for (int i = 0; i < SLICE_DIMENSION_COUNT; i++) {
        words_release(&slices->words[i]);
    }
    words_release(&slices->entries);
}

const char *row_slices_word(const struct row_slices *slices, enum slice_dimension dimension,
                            uint16_t code)
{
    if (code < SLICE_FIRST) {
        return code == SLICE_MISSING ? "(missing)" : "(other)";
    }
    return slices->words[dimension].words[code - SLICE_FIRST];
}

static enum status refuse_name(const char *attribute, const char *const *names, size_t count,
                               const char *expected, struct error *error)
{
    const char *near = nearest_name(attribute, names, count);
    return error_set(error, STATUS_INVALID, "\"%s\": %s expected%s%s%s", attribute, expected,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum status choose_field(struct row_slices *slices, const char *attribute,
                                enum event_field field, struct error *error)
{
    enum privacy_class privacy = event_fields[field].privacy;
    if (privacy == PRIVACY_IDENTITY || privacy == PRIVACY_CONTENT) {
        return error_set(error, STATUS_INVALID,
                         "\"%s\": a field of class none or quasi expected; this one "
                         "tells persons apart, not groups",
                         attribute);
    }
    if (field >= TEXT_FIELD_COUNT) {
        return error_set(error, STATUS_INVALID,
                         "\"%s\": a field of words, attributes.NAME or a feature expected",
                         attribute);
    }
    slices->source = SLICE_FROM_FIELD;
    slices->field = field;
    return STATUS_OK;
}

enum status row_slices_choose(struct row_slices *slices, const char *attribute, bool has_events,
                              const char *const *names, uint32_t name_count, struct error *error)
{
    size_t prefix = strlen(ENTRY_PREFIX);
    if (has_events && strncmp(attribute, ENTRY_PREFIX, prefix) == 0 && attribute[prefix]) {
        slices->source = SLICE_FROM_ENTRY;
        slices->entry = attribute + prefix;
        return STATUS_OK;
    }
    enum event_field field = event_field_of(text_of(attribute));
    if (has_events && field < FIELD_ATTRIBUTES) {
        return choose_field(slices, attribute, field, error);
    }
    for (uint32_t i = 0; i < name_count; i++) {
        if (strcmp(names[i], attribute) == 0) {
            slices->source = SLICE_FROM_COLUMN;
            slices->column = i;
            return STATUS_OK;
        }
    }
    if (!has_events) {
        return refuse_name(attribute, names, name_count, "a column of the table", error);
    }
    const char *fields[TEXT_FIELD_COUNT];
    for (int i = 0; i < TEXT_FIELD_COUNT; i++) {
        fields[i] = event_fields[i].name;
    }
    return refuse_name(attribute, fields, TEXT_FIELD_COUNT,
                       "a field of the event, attributes.NAME or a feature", error);
}

static struct text field_of(const struct event_batch *batch, uint32_t row, enum event_field field)
{
    if (field == FIELD_TYPE_WORD) {
        return text_of(event_types[batch->type[row]].name);
    }
    return event_has(batch, row, field) ? batch->text[field][row] : (struct text){0};
}

/* The value of the chosen entry; notes the names that there are, to name them where it is not. */
static enum status entry_of(struct row_slices *slices, const struct event_batch *batch,
                            uint32_t row, struct text *ret_value, struct error *error)
{
    *ret_value = (struct text){0};
    if (!event_has(batch, row, FIELD_ATTRIBUTES)) {
        return STATUS_OK;
    }
    const struct attribute_list *list = &batch->attributes[row];
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < list->count; i++) {
        uint16_t ignored;
        if (text_is(list->items[i].name, slices->entry)) {
            *ret_value = list->items[i].value;
        } else {
            status =
                code_of(&slices->entries, SLICE_NAMES_MAX, list->items[i].name, &ignored, error);
        }
    }
    return status;
}

static enum status code_of_number(struct slice_words *words, float value, uint16_t *ret_code,
                                  struct error *error)
{
    char text[32] = "";
    if (!isnan(value)) {
        (void)snprintf(text, sizeof(text), "%.9g", (double)value);
    }
    return code_of(words, SLICE_WORDS_MAX, text_of(text), ret_code, error);
}

static enum status take_hour(struct row_slices *slices, int64_t time_ms, uint16_t *ret_code,
                             struct error *error)
{
    int64_t of_day = (time_ms + slices->utc_offset_ms) % DAY_MS;
    int hour = (int)((of_day < 0 ? of_day + DAY_MS : of_day) / HOUR_MS);
    char text[16];
    (void)snprintf(text, sizeof(text), "%02d", hour);
    return code_of(&slices->words[SLICE_HOUR], SLICE_WORDS_MAX, text_of(text), ret_code, error);
}

static enum status take_attribute(struct row_slices *slices, const struct event_batch *batch,
                                  uint32_t row, uint16_t *ret_code, struct error *error)
{
    struct slice_words *words = &slices->words[SLICE_ATTRIBUTE];
    struct text value = {0};
    enum status status = STATUS_OK;
    if (slices->source == SLICE_FROM_COLUMN) {
        const float *features = batch->features + (size_t)row * batch->feature_stride;
        return code_of_number(words, features[slices->column], ret_code, error);
    }
    if (slices->source == SLICE_FROM_FIELD) {
        value = field_of(batch, row, slices->field);
    } else if (slices->source == SLICE_FROM_ENTRY) {
        status = entry_of(slices, batch, row, &value, error);
    }
    return status == STATUS_OK ? code_of(words, SLICE_WORDS_MAX, value, ret_code, error) : status;
}

enum status row_slices_of_event(struct row_slices *slices, const struct event_batch *batch,
                                uint32_t row, uint16_t *ret_codes, struct error *error)
{
    struct text values[SLICE_HOUR] = {[SLICE_CHANNEL] = field_of(batch, row, FIELD_CHANNEL)};
    struct text agent = field_of(batch, row, FIELD_USER_AGENT);
    if (agent.length > 0) {
        values[SLICE_DEVICE] = text_of(device_kind_of(agent));
    }
    if (slices->visitor_column >= 0) {
        const float *features = batch->features + (size_t)row * batch->feature_stride;
        values[SLICE_VISITOR] =
            text_of(isnan(features[slices->visitor_column]) ? "new" : "returning");
    }
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < SLICE_HOUR; i++) {
        status = code_of(&slices->words[i], SLICE_WORDS_MAX, values[i], &ret_codes[i], error);
    }
    if (status == STATUS_OK) {
        status = take_hour(slices, batch->time_ms[row], &ret_codes[SLICE_HOUR], error);
    }
    return status == STATUS_OK
               ? take_attribute(slices, batch, row, &ret_codes[SLICE_ATTRIBUTE], error)
               : status;
}

enum status row_slices_of_line(struct row_slices *slices, int64_t time_ms, const float *features,
                               uint16_t *ret_codes, struct error *error)
{
    memset(ret_codes, 0, SLICE_DIMENSION_COUNT * sizeof(*ret_codes));
    enum status status = take_hour(slices, time_ms, &ret_codes[SLICE_HOUR], error);
    if (status == STATUS_OK && slices->source == SLICE_FROM_COLUMN) {
        status = code_of_number(&slices->words[SLICE_ATTRIBUTE], features[slices->column],
                                &ret_codes[SLICE_ATTRIBUTE], error);
    }
    return status;
}
