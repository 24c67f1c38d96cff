/* What reading a document has in common, whichever way it is written. */
#ifndef MODELS_IMPORT_XGBOOST_READER_H
#define MODELS_IMPORT_XGBOOST_READER_H

#include "models/import_xgboost_document.h"

struct document_reader {
    const char *name;
    const char *format; /* For messages. */
    const char *start, *next, *end;
    struct arena *arena;
    uint32_t value_count;
    enum status status; /* Why reading failed. */
    struct error *error;
};

/* Sets the reader's status and message. */
void document_complain(struct document_reader *reader, const char *expected);

/* The same; false, for the caller to return. */
static inline bool document_fail(struct document_reader *reader, const char *expected)
{
    document_complain(reader, expected);
    return false;
}

/* NULL, and the reader has failed, when memory is exhausted. */
void *document_take(struct document_reader *reader, size_t bytes);
struct document_value *document_make_value(struct document_reader *reader);

/* Counts a value that begins `depth` deep; false, and the reader has failed, at a maximum. */
bool document_count_value(struct document_reader *reader, uint32_t depth);

/* Reads the whole document: `read_root` its value, behind which nothing more may come. */
MUST_CHECK enum status document_read(struct document_reader *reader,
                                     bool (*read_root)(struct document_reader *reader,
                                                       struct document_value *value),
                                     const struct document_value **ret_value);

#endif
