/* Inside of the decoder: what its formats share, and what each of them does in its own way. */
#ifndef PIPELINE_EVENT_DECODER_FORMATS_H
#define PIPELINE_EVENT_DECODER_FORMATS_H

#include "pipeline/event/decoder.h"

struct decoder_ops {
    enum mapping_result (*decode)(struct decoder *decoder, struct text bytes,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection);
    void (*destroy)(struct decoder *decoder);
};

struct decoder {
    const struct decoder_ops *ops;
    const struct mapping *mapping;   /* Borrowed. */
    const struct text_list *wanted;  /* Borrowed. The source fields, in the mapping's order. */
    struct field_value *values;      /* [wanted->count] of the record at hand. */
    const struct outer_field *outer; /* Borrowed. */
    uint32_t outer_count;
    bool is_canonical;
};

/* Each creates its decoder with `ops` set; decoder_create() fills in the rest. */
MUST_CHECK enum status json_decoder_create(const struct mapping *mapping,
                                           struct decoder **ret_decoder, struct error *error);
MUST_CHECK enum status csv_decoder_create(const struct mapping *mapping,
                                          const struct source_options *options,
                                          const struct source *source, struct decoder **ret_decoder,
                                          struct error *error);
MUST_CHECK enum status log_decoder_create(const struct mapping *mapping,
                                          const struct source_options *options,
                                          struct decoder **ret_decoder, struct error *error);
MUST_CHECK enum status avro_decoder_create(const struct mapping *mapping,
                                           const struct source_options *options,
                                           const struct source *source,
                                           struct decoder **ret_decoder, struct error *error);
MUST_CHECK enum status avro_message_decoder_create(const struct mapping *mapping, const char *name,
                                                   const char *schema, struct decoder **ret_decoder,
                                                   struct error *error);

/* Applies the mapping to the decoder's values, with those that stand beside the payload. */
enum mapping_result decoder_map(struct decoder *decoder, struct event_batch *batch, uint32_t row,
                                struct rejection *ret_rejection);

/* Sets reason and detail; returns MAPPING_REJECTED. */
enum mapping_result decoder_reject(struct rejection *rejection, enum rejection_reason reason,
                                   const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The names of the canonical fields but for the attributes, in order of enum event_field. */
extern const char *const canonical_names[FIELD_ATTRIBUTES];

/*
 * Fills the row from values[FIELD_ATTRIBUTES] of the canonical fields, in their own order, and the
 * attributes, and cleans it. Texts, and numbers as the source wrote them.
 */
enum mapping_result canonical_fill_row(const struct field_value *values,
                                       struct attribute_list attributes, struct event_batch *batch,
                                       uint32_t row, struct rejection *ret_rejection);

/* Sets one number column (not its present bit); rejects what is no integer, or no time. */
enum mapping_result canonical_set_number(enum event_field field, const struct field_value *value,
                                         struct event_batch *batch, uint32_t row,
                                         struct rejection *ret_rejection);

#endif
