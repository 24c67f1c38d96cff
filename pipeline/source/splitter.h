/* Inside of a source: what its formats share, and what each of them does in its own way. */
#ifndef PIPELINE_SOURCE_SPLITTER_H
#define PIPELINE_SOURCE_SPLITTER_H

#include "pipeline/source/read_window.h"
#include "pipeline/source/source.h"

struct splitter;

struct splitter_ops {
    /*
     * The next record at the window: its bytes and defect. The splitter keeps `source->next` at the
     * place of the next record, see source_advance().
     */
    enum status (*next)(struct source *source, struct raw_record *ret_record,
                        enum source_result *ret_result, struct error *error);
    /* The window stands somewhere else now, at 0 in another file: forget what was half read. */
    void (*reset)(struct source *source);
    /* Bytes that were given away, but not yet to the caller; or an empty text. */
    struct text (*kept)(const struct splitter *splitter);
    void (*destroy)(struct splitter *splitter);
};

struct splitter {
    const struct splitter_ops *ops;
};

struct source {
    struct source_options options;
    char *path; /* What options.path points to. */
    struct byte_stream *stream;
    struct read_window window;
    struct splitter *splitter;
    struct input_position next; /* Of the next record. */
    struct raw_record last;
    bool has_last;
    bool is_unread;
    bool may_block; /* While opening: there is nothing else to do meanwhile. */
    struct text_list *csv_header;
    char *avro_schema;
};

/* For lines and CSV. Reads the CSV header where there is one. */
MUST_CHECK enum status text_splitter_create(struct source *source, struct splitter **ret_splitter,
                                            struct error *error);
/* Reads the container's header. */
MUST_CHECK enum status avro_splitter_create(struct source *source, struct splitter **ret_splitter,
                                            struct error *error);

/* A record was found: the next one starts at the window. */
static inline void source_advance(struct source *source)
{
    source->next.ordinal++;
    source->next.bytes = source->window.data_bytes;
    source->next.skip = 0;
}

/*
 * A record was found that cannot be told from its neighbours by its place, such as one of many in
 * an Avro block, or damage without bytes: the next one is counted from the same place.
 */
static inline void source_advance_by_skip(struct source *source)
{
    source->next.ordinal++;
    source->next.skip++;
}

#endif
