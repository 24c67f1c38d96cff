/*
 * A mapping that shows what a decoder hands over: names are wanted, values are kept. Included by
 * the one file of a program that tests decoders, in place of the mapping itself.
 */
#ifndef TEST_EVENT_MAPPING_STUB_H
#define TEST_EVENT_MAPPING_STUB_H

#include <stdlib.h>

#include "pipeline/event/mapping.h"

#define STUB_VALUES_MAX 64

struct mapping {
    struct text_list wanted;
    bool is_canonical;
    struct field_value values[STUB_VALUES_MAX]; /* Of the last record. */
    unsigned records;
};

const struct text_list *mapping_source_fields(const struct mapping *mapping)
{
    return &mapping->wanted;
}

bool mapping_is_canonical(const struct mapping *mapping)
{
    return mapping->is_canonical;
}

enum mapping_result mapping_apply(const struct mapping *mapping, const struct field_value *values,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection)
{
    (void)batch;
    (void)row;
    (void)ret_rejection;
    struct mapping *stub = (struct mapping *)(uintptr_t)mapping;
    memcpy(stub->values, values, sizeof(*values) * stub->wanted.count);
    stub->records++;
    return MAPPING_EVENT;
}

enum mapping_result mapping_clean_row(struct event_batch *batch, uint32_t row,
                                      struct rejection *ret_rejection)
{
    (void)ret_rejection;
    batch->type[row] = (uint8_t)(event_has(batch, row, FIELD_TYPE_WORD)
                                     ? event_type_of(batch->text[FIELD_TYPE_WORD][row])
                                     : EVENT_NONE);
    return MAPPING_EVENT;
}

#endif
