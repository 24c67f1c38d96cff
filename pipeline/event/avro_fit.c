#include "pipeline/event/avro_fit.h"

#define BIT(kind) (1u << AVRO_KIND_##kind)
#define NUMBERS (BIT(INT) | BIT(LONG) | BIT(FLOAT) | BIT(DOUBLE))
#define TEXTS (BIT(BYTES) | BIT(STRING) | BIT(FIXED) | BIT(ENUM))

bool avro_kind_is_plain(enum avro_kind kind)
{
    return kind != AVRO_KIND_ARRAY && kind != AVRO_KIND_MAP && kind != AVRO_KIND_RECORD &&
           kind != AVRO_KIND_UNION;
}

static uint32_t kinds_of(enum event_field field)
{
    if (field == FIELD_ATTRIBUTES) {
        return BIT(MAP);
    }
    if (field == FIELD_EVENT_TIME) {
        return NUMBERS | BIT(BYTES) | BIT(STRING);
    }
    if (field < TEXT_FIELD_COUNT) {
        return NUMBERS | TEXTS | BIT(BOOLEAN);
    }
    return field < EVENT_FIELD_COUNT ? NUMBERS : NUMBERS | TEXTS | BIT(BOOLEAN);
}

bool avro_kind_fits(enum event_field field, const struct avro_node *node)
{
    if (node->kind == AVRO_KIND_NULL) {
        return true;
    }
    if (node->kind != AVRO_KIND_UNION) {
        return kinds_of(field) >> node->kind & 1;
    }
    bool has_other = false;
    for (uint32_t i = 0; i < node->count; i++) {
        if (node->nodes[i]->kind == AVRO_KIND_NULL) {
            continue;
        }
        has_other = true;
        if (avro_kind_fits(field, node->nodes[i])) {
            return true;
        }
    }
    return !has_other;
}

const char *avro_kind_name(enum avro_kind kind)
{
    static const char *const names[] = {
        [AVRO_KIND_NULL] = "null",
        [AVRO_KIND_BOOLEAN] = "a boolean",
        [AVRO_KIND_INT] = "an int",
        [AVRO_KIND_LONG] = "a long",
        [AVRO_KIND_FLOAT] = "a float",
        [AVRO_KIND_DOUBLE] = "a double",
        [AVRO_KIND_BYTES] = "bytes",
        [AVRO_KIND_STRING] = "a string",
        [AVRO_KIND_FIXED] = "fixed",
        [AVRO_KIND_ENUM] = "an enum",
        [AVRO_KIND_ARRAY] = "an array",
        [AVRO_KIND_MAP] = "a map",
        [AVRO_KIND_UNION] = "a union of other types",
        [AVRO_KIND_RECORD] = "a record",
    };
    return names[kind];
}

const char *avro_kind_expected(enum event_field field)
{
    if (field == FIELD_ATTRIBUTES) {
        return "a map";
    }
    if (field == FIELD_EVENT_TIME) {
        return "a number or a string";
    }
    return field < TEXT_FIELD_COUNT || field == EVENT_FIELD_COUNT ? "a text, number or boolean"
                                                                  : "a number";
}
