/*
 * Records of an Avro container: blocks of records, each with its count, its bytes and the file's
 * sync marker behind it. A block is given out only once its marker was seen. What cannot be read is
 * one record, and reading goes on behind the next marker.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/limits.h"
#include "pipeline/source/avro_container.h"
#include "pipeline/source/avro_schema.h"
#include "pipeline/source/splitter.h"

enum avro_state {
    AVRO_AT_HEADER, /* Of a file that came in place of another. */
    AVRO_AT_BLOCK,
    AVRO_IN_BLOCK,
    AVRO_SEARCHING, /* For the marker behind a bad block, whose beginning is kept. */
    AVRO_LOST,      /* As before, behind damage that was reported already. */
};

struct avro_splitter {
    struct splitter splitter;
    struct avro_schema *schema; /* Owned. */
    struct avro_header header;  /* Its schema's text is the source's. */
    enum avro_state state;
    struct text block; /* Of the records at hand, plain. */
    struct avro_cursor cursor;
    uint64_t records_left;
    size_t size_hint;
    struct text head; /* Of the bad block, once it is kept. */
    bool has_passed;  /* Only its beginning is kept: */
    struct digest_stream passed;
    struct digest whole; /* What was given out last is the beginning of this. */
    enum stream_event ending;
    bool is_out_of_memory;
    enum rejection_reason lost_header; /* Why it cannot be read, or REJECTION_NONE. */
};

enum block_result { BLOCK_READY, BLOCK_CUT, BLOCK_BAD, BLOCK_NO_MEMORY };

static struct avro_splitter *of(struct source *source)
{
    return (struct avro_splitter *)source->splitter;
}

static struct raw_record defect_of(struct source *source, struct text bytes,
                                   enum rejection_reason defect)
{
    struct raw_record record = {.bytes = bytes, .position = source->next, .defect = defect};
    if (bytes.length > DEAD_LETTER_BYTES_MAX) {
        digest_of(bytes.data, bytes.length, &of(source)->whole);
        record.whole = &of(source)->whole;
        record.bytes.length = DEAD_LETTER_BYTES_MAX;
    }
    return record;
}

/* Opens the block at the window, of which all must be there. */
static enum block_result open_block(struct source *source)
{
    struct avro_splitter *self = of(source);
    struct read_window *window = &source->window;
    const unsigned char *start = (const unsigned char *)window->data;
    struct avro_cursor cursor = {start, start + window->length};
    int64_t count = 0;
    int64_t bytes = 0;
    if (!avro_read_long(&cursor, &count) || !avro_read_long(&cursor, &bytes)) {
        return window->length < 20 ? BLOCK_CUT : BLOCK_BAD; /* Two numbers have 20 bytes at most. */
    }
    if (count < 0 || bytes < 0 || bytes > AVRO_BLOCK_BYTES_MAX) {
        return BLOCK_BAD;
    }
    if (cursor.end - cursor.next < bytes + AVRO_SYNC_BYTES) {
        return BLOCK_CUT;
    }
    struct text packed = {(const char *)cursor.next, (uint32_t)bytes};
    cursor.next += bytes;
    if (memcmp(cursor.next, self->header.sync, AVRO_SYNC_BYTES) != 0) {
        return BLOCK_BAD;
    }
    self->block = packed;
    if (self->header.codec == AVRO_CODEC_DEFLATE && bytes > 0) {
        enum avro_inflate_result result =
            avro_inflate(window, packed, &self->size_hint, &self->block);
        if (result != AVRO_INFLATED) {
            return result == AVRO_INFLATE_NO_MEMORY ? BLOCK_NO_MEMORY : BLOCK_BAD;
        }
    }
    if (count > (int64_t)self->block.length) {
        return BLOCK_BAD; /* A record has a byte at least. */
    }
    const unsigned char *plain = (const unsigned char *)self->block.data;
    self->cursor = (struct avro_cursor){plain, plain + self->block.length};
    self->records_left = (uint64_t)count;
    read_window_take(window, (size_t)(cursor.next - start) + AVRO_SYNC_BYTES);
    self->state = AVRO_IN_BLOCK;
    return BLOCK_READY;
}

static void leave_block(struct source *source)
{
    of(source)->state = AVRO_AT_BLOCK;
    source->next.bytes = source->window.data_bytes;
    source->next.skip = 0;
}

/* The next record of the block, or what is left of it. False: there is nothing left. */
static bool next_in_block(struct source *source, struct raw_record *ret_record)
{
    struct avro_splitter *self = of(source);
    if (self->cursor.next == self->cursor.end && self->records_left == 0) {
        leave_block(source);
        return false;
    }
    const unsigned char *start = self->cursor.next;
    bool is_read =
        self->records_left > 0 && avro_skip_datum(&self->cursor, avro_schema_root(self->schema));
    if (!is_read) {
        /* Records are missing, or bytes are left over. */
        struct text rest = {(const char *)start, (uint32_t)(self->cursor.end - start)};
        *ret_record = defect_of(source, rest, REJECTION_BAD_BLOCK);
        source->next.ordinal++;
        leave_block(source);
        return true;
    }
    self->records_left--;
    struct text bytes = {(const char *)start, (uint32_t)(self->cursor.next - start)};
    *ret_record = (struct raw_record){.bytes = bytes, .position = source->next};
    if (bytes.length > RAW_RECORD_BYTES_MAX) {
        *ret_record = defect_of(source, bytes, REJECTION_TOO_LONG);
    }
    source_advance_by_skip(source);
    if (self->records_left == 0 && self->cursor.next == self->cursor.end) {
        leave_block(source);
    }
    return true;
}

static void begin_search(struct source *source)
{
    of(source)->head = (struct text){NULL, 0};
    of(source)->has_passed = false;
    of(source)->state = AVRO_SEARCHING;
}

/* Where the sync marker ends in the window, or 0. */
static size_t find_marker(const struct avro_splitter *self, const struct read_window *window)
{
    const char *from = window->data;
    const char *end = window->data + window->length;
    while ((size_t)(end - from) >= AVRO_SYNC_BYTES) {
        const char *found =
            memchr(from, self->header.sync[0], (size_t)(end - from) - AVRO_SYNC_BYTES + 1);
        if (!found) {
            return 0;
        }
        if (memcmp(found, self->header.sync, AVRO_SYNC_BYTES) == 0) {
            return (size_t)(found - window->data) + AVRO_SYNC_BYTES;
        }
        from = found + 1;
    }
    return 0;
}

/* Reads over the window, but for its end, which may be the beginning of a marker. */
static void pass_window(struct avro_splitter *self, struct read_window *window)
{
    if (window->length >= AVRO_SYNC_BYTES) {
        if (self->has_passed) {
            digest_add(&self->passed, window->data, window->length - AVRO_SYNC_BYTES + 1);
        }
        read_window_skip(window, window->length - AVRO_SYNC_BYTES + 1);
    }
}

/* A window's first `length` bytes are the rest of a bad block, or all of it. */
static void keep_rest(struct avro_splitter *self, const struct read_window *window, size_t length)
{
    if (self->has_passed) {
        digest_add(&self->passed, window->data, length);
    } else {
        self->head = (struct text){window->data, (uint32_t)length};
    }
}

/* The bad block that was kept, which is forgotten. */
static struct raw_record head_of(struct source *source, enum rejection_reason defect)
{
    struct avro_splitter *self = of(source);
    struct raw_record record = defect_of(source, self->head, defect);
    if (self->has_passed) {
        digest_end(&self->passed, &self->whole);
        record.whole = &self->whole;
    }
    self->head = (struct text){NULL, 0};
    self->has_passed = false;
    return record;
}

static void give_searched(struct source *source, enum rejection_reason defect,
                          struct raw_record *ret_record)
{
    struct avro_splitter *self = of(source);
    *ret_record = head_of(source, defect);
    self->state = AVRO_AT_BLOCK;
    source_advance(source);
}

/* True where the bad block's end was found, or there is no more to search. */
static bool search_on(struct source *source, bool is_ending, struct raw_record *ret_record)
{
    struct avro_splitter *self = of(source);
    struct read_window *window = &source->window;
    size_t end = find_marker(self, window);
    if (end > 0 || is_ending) {
        size_t length = end > 0 ? end : window->length;
        keep_rest(self, window, length);
        read_window_take(window, length);
        give_searched(source, end > 0 ? REJECTION_BAD_BLOCK : REJECTION_TRUNCATED, ret_record);
        return true;
    }
    if (!self->has_passed) {
        /* What is kept must not depend on how much happened to be read. */
        if (window->length < DEAD_LETTER_BYTES_MAX + AVRO_SYNC_BYTES) {
            return false;
        }
        keep_rest(self, window, DEAD_LETTER_BYTES_MAX);
        digest_begin(&self->passed);
        digest_add(&self->passed, self->head.data, self->head.length);
        self->has_passed = true;
        read_window_take(window, DEAD_LETTER_BYTES_MAX);
    }
    pass_window(self, window);
    return false;
}

static void give_damaged(struct source *source, enum stream_event event,
                         struct raw_record *ret_record)
{
    struct avro_splitter *self = of(source);
    keep_rest(self, &source->window, source->window.length);
    *ret_record = head_of(source, event == STREAM_TRUNCATED ? REJECTION_TRUNCATED
                                                            : REJECTION_BAD_COMPRESSION);
    read_window_take(&source->window, source->window.length);
    source_advance_by_skip(source);
    self->state = AVRO_LOST;
}

/* True where the window held a record; else more bytes are needed. */
static bool next_in_window(struct source *source, struct raw_record *ret_record)
{
    struct avro_splitter *self = of(source);
    bool is_ending = self->ending != STREAM_BYTES;
    for (;;) {
        switch (self->state) {
        case AVRO_AT_HEADER:
            return false;
        case AVRO_IN_BLOCK:
            if (next_in_block(source, ret_record)) {
                return true;
            }
            break;
        case AVRO_AT_BLOCK: {
            if (source->window.length == 0) {
                return false;
            }
            enum block_result result = open_block(source);
            self->is_out_of_memory = result == BLOCK_NO_MEMORY;
            if (self->is_out_of_memory || (result == BLOCK_CUT && !is_ending)) {
                return false;
            }
            if (result != BLOCK_READY) {
                begin_search(source);
            }
            break;
        }
        case AVRO_SEARCHING:
            return search_on(source, is_ending, ret_record);
        case AVRO_LOST: {
            size_t end = find_marker(self, &source->window);
            if (end == 0) {
                if (is_ending) {
                    read_window_take(&source->window, source->window.length);
                }
                pass_window(self, &source->window);
                return false;
            }
            read_window_take(&source->window, end);
            self->state = AVRO_AT_BLOCK;
            break;
        }
        }
    }
}

/* Fills the window until it holds a header; *ret_is_empty: the file has no bytes. */
static enum status load_header(struct source *source, struct avro_header *ret_header,
                               bool *ret_is_there, struct error *error)
{
    const char *name = byte_stream_name(source->stream);
    struct read_window *window = &source->window;
    enum stream_event event = STREAM_BYTES;
    *ret_is_there = false;
    for (;;) {
        struct text bytes = {window->data, (uint32_t)window->length};
        enum avro_header_result result = window->length > 0
                                             ? avro_header_parse(name, bytes, ret_header, error)
                                             : AVRO_HEADER_CUT;
        if (result == AVRO_HEADER_OK) {
            *ret_is_there = true;
            return STATUS_OK;
        }
        if (result == AVRO_HEADER_BAD) {
            return STATUS_INVALID;
        }
        if (window->length > AVRO_HEADER_BYTES_MAX) {
            return error_set(error, STATUS_INVALID, "%s: Avro header of more than %u bytes", name,
                             AVRO_HEADER_BYTES_MAX);
        }
        enum status status = read_window_fill(window, source->may_block, &event, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (event == STREAM_WAIT && !source->may_block) {
            return STATUS_OK;
        }
        if (event == STREAM_END && window->length == 0) {
            return STATUS_OK;
        }
        if (event == STREAM_REPLACED) {
            read_window_restart(window, 0);
            continue;
        }
        if (event == STREAM_WAIT) {
            return error_set(error, STATUS_INVALID,
                             "%s: ends inside of its Avro header; expected all of it before the "
                             "file is followed",
                             name);
        }
        if (event != STREAM_BYTES) {
            of(source)->lost_header =
                event == STREAM_DAMAGED ? REJECTION_BAD_COMPRESSION : REJECTION_TRUNCATED;
            return STATUS_OK;
        }
    }
}

/* The header of the file that replaced a followed one: it may have another marker, no other schema.
 */
static enum status pass_new_header(struct source *source, bool *ret_is_there, struct error *error)
{
    struct avro_splitter *self = of(source);
    struct avro_header header;
    enum status status = load_header(source, &header, ret_is_there, error);
    if (status != STATUS_OK || !*ret_is_there) {
        return status;
    }
    if (!text_is(header.schema, source->avro_schema)) {
        return error_set(error, STATUS_INVALID,
                         "%s: was replaced by a file with another Avro schema",
                         byte_stream_name(source->stream));
    }
    self->header = header;
    read_window_take(&source->window, header.bytes);
    leave_block(source);
    return STATUS_OK;
}

static void begin_new_file(struct source *source)
{
    struct avro_splitter *self = of(source);
    read_window_restart(&source->window, 0);
    source->next.bytes = 0;
    source->next.skip = 0;
    self->ending = STREAM_BYTES;
    self->state = AVRO_AT_HEADER;
}

/* Nothing more in the window: reads on. *ret_event is STREAM_BYTES where it is worth a look. */
static enum status read_on(struct source *source, enum stream_event *ret_event, struct error *error)
{
    struct avro_splitter *self = of(source);
    if (self->ending == STREAM_REPLACED) {
        begin_new_file(source);
    }
    *ret_event = self->ending;
    if (self->state == AVRO_AT_HEADER) {
        bool is_there = false;
        enum status status = pass_new_header(source, &is_there, error);
        *ret_event = is_there ? STREAM_BYTES : STREAM_WAIT;
        return status;
    }
    if (self->ending != STREAM_BYTES) {
        return STATUS_OK;
    }
    enum status status = read_window_fill(&source->window, source->may_block, ret_event, error);
    if (status == STATUS_OK && (*ret_event == STREAM_END || *ret_event == STREAM_REPLACED)) {
        self->ending = *ret_event;
        *ret_event = STREAM_BYTES; /* What is left in the window is looked at as an end. */
    }
    return status;
}

static enum status next_record(struct source *source, struct raw_record *ret_record,
                               enum source_result *ret_result, struct error *error)
{
    if (!of(source)->schema) { /* An empty file, or one without a header is all there is. */
        bool is_lost = of(source)->lost_header != REJECTION_NONE && source->next.ordinal == 0;
        *ret_result = is_lost ? SOURCE_RECORD : SOURCE_END;
        if (is_lost) {
            struct text bytes = {source->window.data, (uint32_t)source->window.length};
            *ret_record = defect_of(source, bytes, of(source)->lost_header);
            source_advance_by_skip(source);
        }
        return STATUS_OK;
    }
    *ret_result = SOURCE_RECORD;
    for (;;) {
        if (next_in_window(source, ret_record)) {
            return STATUS_OK;
        }
        if (of(source)->is_out_of_memory) {
            return error_set(error, STATUS_FATAL, "%s: out of memory",
                             byte_stream_name(source->stream));
        }
        enum stream_event event = STREAM_END;
        enum status status = read_on(source, &event, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (event == STREAM_DAMAGED || event == STREAM_TRUNCATED) {
            give_damaged(source, event, ret_record);
            return STATUS_OK;
        }
        if (event != STREAM_BYTES) {
            *ret_result = event == STREAM_WAIT ? SOURCE_WAIT : SOURCE_END;
            return STATUS_OK;
        }
    }
}

static void reset(struct source *source)
{
    struct avro_splitter *self = of(source);
    self->ending = STREAM_BYTES;
    self->state = source->window.data_bytes == 0 ? AVRO_AT_HEADER : AVRO_AT_BLOCK;
}

static struct text kept(const struct splitter *splitter)
{
    const struct avro_splitter *self = (const struct avro_splitter *)splitter;
    switch (self->state) {
    case AVRO_IN_BLOCK:
        return self->block;
    case AVRO_SEARCHING:
        return self->head;
    default:
        return (struct text){NULL, 0};
    }
}

static void destroy(struct splitter *splitter)
{
    struct avro_splitter *self = (struct avro_splitter *)splitter;
    avro_schema_release(self->schema);
    free(self);
}

static const struct splitter_ops avro_splitter_ops = {next_record, reset, kept, destroy};

static enum status read_header(struct source *source, struct error *error)
{
    struct avro_splitter *self = of(source);
    const char *name = byte_stream_name(source->stream);
    bool is_there = false;
    enum status status = load_header(source, &self->header, &is_there, error);
    if (status != STATUS_OK || !is_there) {
        return status;
    }
    struct text schema = self->header.schema;
    source->avro_schema = malloc((size_t)schema.length + 1);
    if (!source->avro_schema) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    memcpy(source->avro_schema, schema.data, schema.length);
    source->avro_schema[schema.length] = '\0';
    if (strlen(source->avro_schema) != schema.length) {
        return error_set(error, STATUS_INVALID, "%s: Avro schema with a zero byte", name);
    }
    status = avro_schema_compile(name, schema.data, schema.length, &self->schema, error);
    if (status == STATUS_OK) {
        read_window_take(&source->window, self->header.bytes);
        leave_block(source);
    }
    return status;
}

enum status avro_splitter_create(struct source *source, struct splitter **ret_splitter,
                                 struct error *error)
{
    struct avro_splitter *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", source->path);
    }
    self->splitter.ops = &avro_splitter_ops;
    self->state = AVRO_AT_BLOCK;
    self->ending = STREAM_BYTES;
    *ret_splitter = &self->splitter;
    source->splitter = &self->splitter;
    return read_header(source, error);
}
