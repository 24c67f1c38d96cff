#include "pipeline/event/event_fields.h"

#define FIELD_ROW(ENUM, field_name, class, description)                                            \
    [FIELD_##ENUM] = {.name = field_name, .doc = description, .privacy = class},
const struct event_field_info event_fields[EVENT_FIELD_COUNT] = {
    EVENT_TEXT_FIELDS(FIELD_ROW) EVENT_NUMBER_FIELDS(
        FIELD_ROW)[FIELD_ATTRIBUTES] = {.name = "attributes",
                                        .doc = "Whatever else the sender says, by name",
                                        .privacy = PRIVACY_CONTENT},
};

#define TYPE_ROW(ENUM, type_name, description)                                                     \
    [EVENT_##ENUM] = {.name = type_name, .doc = description},
const struct event_type_info event_types[EVENT_TYPE_COUNT] = {EVENT_TYPES(TYPE_ROW)};

enum event_type event_type_of(struct text word)
{
    /* Few words of few letters: the length and the first letters decide almost every comparison. */
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (text_is(word, event_types[type].name)) {
            return (enum event_type)type;
        }
    }
    return EVENT_OTHER;
}

enum event_field event_field_of(struct text name)
{
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        if (text_is(name, event_fields[field].name)) {
            return (enum event_field)field;
        }
    }
    return EVENT_FIELD_COUNT;
}

bool event_field_is_compared(enum event_field field)
{
    return field != FIELD_URL && field != FIELD_REFERRER && field != FIELD_USER_AGENT &&
           field != FIELD_IP;
}
