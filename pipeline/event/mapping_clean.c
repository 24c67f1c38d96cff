/* Cleans values and rows of the canonical event, whoever filled them in. */
#include "pipeline/event/mapping_plan.h"

#include <stdio.h>

#include "pipeline/base/unicode_text.h"

#define TIME_MIN_MS 946684800000  /* 2000-01-01 */
#define TIME_MAX_MS 4102444800000 /* 2100-01-01, excluded */
#define SHOWN_BYTES_MAX 48u
#define MILLION 1000000

enum mapping_result reject(struct rejection *ret, enum rejection_reason reason, const char *field,
                           struct text value, const char *expected)
{
    char shown[SHOWN_BYTES_MAX + 1];
    bool is_cut = value.length > SHOWN_BYTES_MAX;
    uint32_t length = is_cut ? SHOWN_BYTES_MAX : value.length;
    while (is_cut && length > 0 && ((unsigned char)value.data[length] & 0xC0) == 0x80) {
        length--; /* Not in the middle of a letter. */
    }
    bool is_utf8 = text_is_utf8((struct text){value.data, length});
    for (uint32_t i = 0; i < length; i++) {
        char letter = value.data[i];
        unsigned char c = (unsigned char)letter;
        bool is_printable = c >= 0x20 && c != 0x7F && c != '"' && (c < 0x80 || is_utf8);
        shown[i] = letter;
        if (!is_printable) {
            shown[i] = '?';
        }
    }
    shown[length] = '\0';
    ret->reason = reason;
    (void)snprintf(ret->detail, sizeof(ret->detail), "%.32s: \"%s%s\": expected %s", field, shown,
                   is_cut ? "..." : "", expected);
    return MAPPING_REJECTED;
}

/* ---- Texts ---- */

/* What is wrong with a text; the name of its field is made only where something is. */
static enum rejection_reason clean(struct event_batch *batch, enum unicode_form form,
                                   struct text *value, bool *ret_is_out_of_memory)
{
    struct text cleaned;
    switch (text_clean(*value, form, &batch->arena, &cleaned)) {
    case UNICODE_INVALID:
        return REJECTION_BAD_UTF8;
    case UNICODE_NO_MEMORY:
        *ret_is_out_of_memory = true;
        return REJECTION_NONE;
    default:
        break;
    }
    *value = cleaned;
    return cleaned.length > EVENT_TEXT_BYTES_MAX ? REJECTION_TEXT_TOO_LONG : REJECTION_NONE;
}

static enum mapping_result reject_text(struct rejection *ret, enum rejection_reason reason,
                                       const char *field, struct text value)
{
    return reject(ret, reason, field, value,
                  reason == REJECTION_BAD_UTF8 ? "valid UTF-8" : "at most 65535 bytes");
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Codes of currencies have three letters, in upper case. */
static enum mapping_result clean_currency(struct event_batch *batch, struct text *value,
                                          struct rejection *ret_rejection)
{
    const char *code = value->data;
    if (value->length != 3 || !is_letter(code[0]) || !is_letter(code[1]) || !is_letter(code[2])) {
        return reject(ret_rejection, REJECTION_OUT_OF_RANGE, event_fields[FIELD_CURRENCY].name,
                      *value, "a code of three letters such as EUR");
    }
    if ((code[0] & code[1] & code[2] & 0x20) == 0 && ((code[0] | code[1] | code[2]) & 0x20) == 0) {
        return MAPPING_EVENT;
    }
    char *upper = arena_array(&batch->arena, char, 3);
    if (!upper) {
        return MAPPING_FAILED;
    }
    for (int i = 0; i < 3; i++) {
        upper[i] = (char)(code[i] & ~0x20);
    }
    value->data = upper;
    return MAPPING_EVENT;
}

enum mapping_result store_text(struct event_batch *batch, uint32_t row, enum event_field field,
                               struct text value, struct rejection *ret_rejection)
{
    enum unicode_form form = event_field_is_compared(field) ? UNICODE_NFC : UNICODE_AS_WRITTEN;
    bool is_out_of_memory = false;
    enum rejection_reason reason = clean(batch, form, &value, &is_out_of_memory);
    if (is_out_of_memory) {
        return MAPPING_FAILED;
    }
    if (reason != REJECTION_NONE) {
        return reject_text(ret_rejection, reason, event_fields[field].name, value);
    }
    if (field == FIELD_CURRENCY && value.length > 0) {
        enum mapping_result result = clean_currency(batch, &value, ret_rejection);
        if (result != MAPPING_EVENT) {
            return result;
        }
    }
    batch->text[field][row] = value;
    uint64_t bit = 1ull << field;
    batch->present[row] = (batch->present[row] & ~bit) | (value.length > 0 ? bit : 0);
    return MAPPING_EVENT;
}

enum mapping_result clean_attribute(struct event_batch *batch, struct text name, struct text *value,
                                    struct rejection *ret_rejection)
{
    bool is_out_of_memory = false;
    enum rejection_reason reason = clean(batch, UNICODE_NFC, value, &is_out_of_memory);
    if (is_out_of_memory) {
        return MAPPING_FAILED;
    }
    if (reason == REJECTION_NONE) {
        return MAPPING_EVENT;
    }
    char field[32];
    int length = name.length < 20 && text_is_utf8(name) ? (int)name.length : 0;
    (void)snprintf(field, sizeof(field), "attributes.%.*s", length, length ? name.data : "");
    return reject_text(ret_rejection, reason, field, *value);
}

/* ---- Type ---- */

struct known_word {
    const char *name;
    uint32_t length;
};

#define KNOWN_WORD(ENUM, name, doc) {name, sizeof(name) - 1},
static const struct known_word known_words[] = {EVENT_TYPES(KNOWN_WORD)};

/* Case, - and blanks do not part a word from the name of a known type. */
static enum event_type fold_type(struct text word)
{
    char folded[32];
    if (word.length > sizeof(folded)) {
        return EVENT_OTHER;
    }
    for (uint32_t i = 0; i < word.length; i++) {
        char c = word.data[i];
        folded[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c == '-' || c == ' ' ? '_' : c);
    }
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (known_words[type].length == word.length &&
            memcmp(known_words[type].name, folded, word.length) == 0) {
            return (enum event_type)type;
        }
    }
    return EVENT_OTHER;
}

enum mapping_result store_type(struct event_batch *batch, uint32_t row, struct text word,
                               struct rejection *ret_rejection)
{
    enum mapping_result result = store_text(batch, row, FIELD_TYPE_WORD, word, ret_rejection);
    if (result != MAPPING_EVENT) {
        return result;
    }
    struct text *stored = &batch->text[FIELD_TYPE_WORD][row];
    if (stored->length == 0) {
        return reject(ret_rejection, REJECTION_NO_TYPE, event_fields[FIELD_TYPE_WORD].name, word,
                      "a word");
    }
    enum event_type type = fold_type(*stored);
    batch->type[row] = (uint8_t)type;
    if (type != EVENT_OTHER) {
        *stored = (struct text){known_words[type].name, known_words[type].length};
    }
    return MAPPING_EVENT;
}

/* ---- Numbers ---- */

struct number_range {
    int64_t min, max;
    const char *expected;
};

static struct number_range range_of(enum event_field field)
{
    switch (field) {
    case FIELD_PRICE:
        return (struct number_range){0, 1000000000000 * MILLION, "a price up to 10^12"};
    case FIELD_STOCK:
        return (struct number_range){-1000000000, 1000000000, "-10^9 to 10^9"};
    default:
        return (struct number_range){0, 1000000000, "a number from 0 to 10^9"};
    }
}

static int64_t *number_column(struct event_batch *batch, enum event_field field)
{
    switch (field) {
    case FIELD_PRICE:
        return batch->price;
    case FIELD_QUANTITY:
        return batch->quantity;
    case FIELD_STOCK:
        return batch->stock;
    default:
        return batch->order_line;
    }
}

/* A number for a message. */
static struct text show_number(int64_t value, bool is_millionths, char shown[40])
{
    int64_t whole = is_millionths ? value / MILLION : value;
    int64_t rest = is_millionths ? value % MILLION : 0;
    const char *sign = value < 0 && whole == 0 ? "-" : "";
    rest = rest < 0 ? -rest : rest;
    int length = rest
                     ? snprintf(shown, 40, "%s%lld.%06lld", sign, (long long)whole, (long long)rest)
                     : snprintf(shown, 40, "%lld", (long long)whole);
    return (struct text){shown, (uint32_t)length};
}

static enum mapping_result store_time(struct event_batch *batch, uint32_t row, int64_t value,
                                      struct rejection *ret_rejection)
{
    if (value < TIME_MIN_MS || value >= TIME_MAX_MS) {
        char shown[40];
        return reject(ret_rejection, REJECTION_TIME_OUT_OF_RANGE,
                      event_fields[FIELD_EVENT_TIME].name, show_number(value, false, shown),
                      "milliseconds since 1970 that fall in the years 2000 to 2099");
    }
    batch->time_ms[row] = value;
    batch->present[row] |= 1ull << FIELD_EVENT_TIME;
    return MAPPING_EVENT;
}

enum mapping_result store_number(struct event_batch *batch, uint32_t row, enum event_field field,
                                 int64_t value, struct rejection *ret_rejection)
{
    if (field == FIELD_EVENT_TIME) {
        return store_time(batch, row, value, ret_rejection);
    }
    struct number_range range = range_of(field);
    if (value < range.min || value > range.max) {
        char shown[40];
        bool is_price = field == FIELD_PRICE;
        bool is_negative = is_price && value < 0;
        return reject(ret_rejection,
                      is_negative ? REJECTION_NEGATIVE_PRICE : REJECTION_OUT_OF_RANGE,
                      event_fields[field].name, show_number(value, is_price, shown),
                      is_negative ? "zero or more" : range.expected);
    }
    number_column(batch, field)[row] = value;
    batch->present[row] |= 1ull << field;
    return MAPPING_EVENT;
}

/* ---- Rows ---- */

enum mapping_result check_row(const struct event_batch *batch, uint32_t row,
                              struct rejection *ret_rejection)
{
    const uint64_t identities = 1ull << FIELD_USER_ID | 1ull << FIELD_DEVICE_ID | 1ull << FIELD_IP;
    if (!(batch->present[row] & identities)) {
        return reject(ret_rejection, REJECTION_NO_IDENTITY, "user_id", (struct text){0},
                      "a user id, a device id or an address");
    }
    return MAPPING_EVENT;
}

/* Cleans the list; copies it only where something has to change. */
static enum mapping_result clean_attributes(struct event_batch *batch, uint32_t row,
                                            struct rejection *ret_rejection)
{
    struct attribute_list *list = &batch->attributes[row];
    if (list->count > EVENT_ATTRIBUTES_MAX) {
        return reject(ret_rejection, REJECTION_OUT_OF_RANGE, "attributes", (struct text){0},
                      "at most 64 of them");
    }
    struct attribute *copy = NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        struct attribute item = list->items[i];
        enum mapping_result result = clean_attribute(batch, item.name, &item.name, ret_rejection);
        if (result == MAPPING_EVENT) {
            result = clean_attribute(batch, item.name, &item.value, ret_rejection);
        }
        if (result != MAPPING_EVENT) {
            return result;
        }
        bool is_same = text_equal(item.name, list->items[i].name) &&
                       text_equal(item.value, list->items[i].value);
        if (!is_same && !copy) {
            copy = arena_array(&batch->arena, struct attribute, list->count);
            if (!copy) {
                return MAPPING_FAILED;
            }
            memcpy(copy, list->items, sizeof(*copy) * list->count);
        }
        if (copy) {
            copy[i] = item;
        }
    }
    list->items = copy ? copy : list->items;
    return MAPPING_EVENT;
}

static enum mapping_result clean_texts(struct event_batch *batch, uint32_t row,
                                       struct rejection *ret_rejection)
{
    const uint64_t all_texts = (1ull << TEXT_FIELD_COUNT) - 1;
    uint64_t left = batch->present[row] & all_texts & ~(1ull << FIELD_TYPE_WORD);
    for (; left != 0; left &= left - 1) {
        enum event_field field = (enum event_field)__builtin_ctzll(left);
        enum mapping_result result =
            store_text(batch, row, field, batch->text[field][row], ret_rejection);
        if (result != MAPPING_EVENT) {
            return result;
        }
    }
    return MAPPING_EVENT;
}

static enum mapping_result clean_numbers(struct event_batch *batch, uint32_t row,
                                         struct rejection *ret_rejection)
{
    static const enum event_field fields[] = {FIELD_ORDER_LINE, FIELD_PRICE, FIELD_QUANTITY,
                                              FIELD_STOCK};
    for (int i = 0; i < 4; i++) {
        if (!event_has(batch, row, fields[i])) {
            continue;
        }
        enum mapping_result result = store_number(
            batch, row, fields[i], number_column(batch, fields[i])[row], ret_rejection);
        if (result != MAPPING_EVENT) {
            return result;
        }
    }
    return MAPPING_EVENT;
}

enum mapping_result mapping_clean_row(struct event_batch *batch, uint32_t row,
                                      struct rejection *ret_rejection)
{
    if (!event_has(batch, row, FIELD_EVENT_TIME)) {
        return reject(ret_rejection, REJECTION_NO_TIME, event_fields[FIELD_EVENT_TIME].name,
                      (struct text){0}, "milliseconds since 1970");
    }
    struct text word = event_has(batch, row, FIELD_TYPE_WORD) ? batch->text[FIELD_TYPE_WORD][row]
                                                              : (struct text){0};
    enum mapping_result result =
        store_number(batch, row, FIELD_EVENT_TIME, batch->time_ms[row], ret_rejection);
    if (result == MAPPING_EVENT) {
        result = store_type(batch, row, word, ret_rejection);
    }
    if (result == MAPPING_EVENT) {
        result = clean_texts(batch, row, ret_rejection);
    }
    if (result == MAPPING_EVENT) {
        result = clean_numbers(batch, row, ret_rejection);
    }
    if (result == MAPPING_EVENT && event_has(batch, row, FIELD_ATTRIBUTES)) {
        result = clean_attributes(batch, row, ret_rejection);
    }
    return result == MAPPING_EVENT ? check_row(batch, row, ret_rejection) : result;
}
