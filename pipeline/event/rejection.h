/* Why a record becomes a dead letter. */
#ifndef PIPELINE_EVENT_REJECTION_H
#define PIPELINE_EVENT_REJECTION_H

/* X(ENUM, "name", description) */
#define REJECTIONS(X)                                                                              \
    X(NONE, "none", "Accepted")                                                                    \
    X(TOO_LONG, "too_long", "Longer than a record may be")                                         \
    X(TRUNCATED, "truncated", "The file or block ends inside the record")                          \
    X(BAD_COMPRESSION, "bad_compression", "The compressed data are damaged")                       \
    X(BAD_BLOCK, "bad_block", "An Avro block that cannot be read")                                 \
    X(NOT_PARSED, "not_parsed", "Not a record of the input's format")                              \
    X(BAD_UTF8, "bad_utf8", "Text that is not valid UTF-8")                                        \
    X(NO_TIME, "no_time", "No event time, or one that cannot be read")                             \
    X(TIME_OUT_OF_RANGE, "time_out_of_range", "An event time before 2000 or after 2100")           \
    X(TIME_AHEAD, "time_ahead", "An event time too far ahead of the partition's time")             \
    X(NO_TYPE, "no_type", "No event type")                                                         \
    X(NO_IDENTITY, "no_identity", "None of user id, device id and address")                        \
    X(BAD_NUMBER, "bad_number", "A number that cannot be read, or is not finite")                  \
    X(NEGATIVE_PRICE, "negative_price", "A price below zero")                                      \
    X(OUT_OF_RANGE, "out_of_range", "A value beyond what its field may hold")                      \
    X(TEXT_TOO_LONG, "text_too_long", "A text field longer than it may be")                        \
    X(NO_SCHEMA, "no_schema", "Its schema is not known, or does not resolve to an event")

#define REJECTION_ENUM(ENUM, name, doc) REJECTION_##ENUM,
enum rejection_reason { REJECTIONS(REJECTION_ENUM) REJECTION_COUNT };
#undef REJECTION_ENUM

#define REJECTION_DETAIL_BYTES 160

struct rejection {
    enum rejection_reason reason;
    char detail[REJECTION_DETAIL_BYTES]; /* Field, value (cut) and what was expected. */
};

extern const char *const rejection_names[REJECTION_COUNT];
extern const char *const rejection_docs[REJECTION_COUNT];

#endif
