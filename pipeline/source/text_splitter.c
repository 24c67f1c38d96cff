/*
 * Records that end with a line: JSON lines, log lines, and CSV, whose quoted fields may hold line
 * ends. Empty lines are no records. What a record is depends on the bytes alone, never on how they
 * were read, since a restart must see the same records.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/limits.h"
#include "pipeline/source/csv_record.h"
#include "pipeline/source/file_mark.h"
#include "pipeline/source/splitter.h"

#define NOT_YET SIZE_MAX

struct text_splitter {
    struct splitter splitter;
    bool is_csv;
    char delimiter;
    char comment;
    /* Of the record that begins at the window: */
    size_t searched;       /* Up to here there is no line end that was not looked at. */
    size_t line_from;      /* CSV: where its current line begins ... */
    bool is_open;          /* ... and whether that is inside of a quoted field. */
    size_t first_line_end; /* CSV: of its first line, or NOT_YET. */
    /* A line that is too long is read over; its beginning is kept. */
    bool is_skipping;
    struct text head;
    struct digest_stream skipped; /* Of all of it, its beginning included ... */
    bool ends_with_return;        /* ... but for a carriage return, which may be its end's. */
    struct digest whole;          /* What was given out last is the beginning of this. */
    /* The stream has no more bytes behind the window: STREAM_END or STREAM_REPLACED. */
    enum stream_event ending;  /* STREAM_BYTES: not so. */
    enum stream_event pending; /* Damage that was met too early, or STREAM_BYTES. */
    bool has_looked_for_marks;
    bool expects_header;     /* The next record is the header. */
    struct text header_line; /* Owned. To tell a new file's header. */
    /* CSV: the header cannot be read, so that no line can. */
    bool has_lost_header;
    bool gives_lost_header; /* What there is of it is still to be given out. */
    struct raw_record lost_header;
    struct input_position behind_lost_header;
};

enum search { SEARCH_FOUND, SEARCH_MORE, SEARCH_TOO_LONG, SEARCH_NOT_CLOSED };

static struct text_splitter *of(struct source *source)
{
    return (struct text_splitter *)source->splitter;
}

static void begin_record(struct text_splitter *self)
{
    self->searched = 0;
    self->line_from = 0;
    self->is_open = false;
    self->first_line_end = NOT_YET;
}

/* Looks for the record's end in the window; what is too long does not depend on its length. */
static enum search search_end(struct text_splitter *self, const struct read_window *window,
                              size_t *ret_end)
{
    size_t scope =
        window->length > RAW_RECORD_BYTES_MAX ? RAW_RECORD_BYTES_MAX + 1 : window->length;
    while (self->searched < scope) {
        const char *from = window->data + self->searched;
        const char *end = memchr(from, '\n', scope - self->searched);
        if (!end) {
            self->searched = scope;
            break;
        }
        size_t at = (size_t)(end - window->data);
        self->searched = at + 1;
        bool is_comment = self->comment && window->data[0] == self->comment;
        self->is_open = self->is_csv && !is_comment &&
                        csv_is_open_after(window->data + self->line_from, at - self->line_from,
                                          self->delimiter, self->is_open);
        if (!self->is_open) {
            *ret_end = at;
            return SEARCH_FOUND;
        }
        if (self->first_line_end == NOT_YET) {
            self->first_line_end = at;
        }
        self->line_from = at + 1;
    }
    if (scope <= RAW_RECORD_BYTES_MAX) {
        return SEARCH_MORE;
    }
    *ret_end = self->first_line_end;
    return self->first_line_end == NOT_YET ? SEARCH_TOO_LONG : SEARCH_NOT_CLOSED;
}

/* The window's first `length` bytes, less a carriage return, are a record. `gone`: with its end. */
static void give(struct source *source, size_t length, size_t gone, enum rejection_reason defect,
                 struct raw_record *ret_record)
{
    const char *data = source->window.data;
    if (length > 0 && data[length - 1] == '\r') {
        length--;
    }
    *ret_record = (struct raw_record){
        .bytes = {data, (uint32_t)length}, .position = source->next, .defect = defect};
    read_window_take(&source->window, gone);
    source_advance(source);
    begin_record(of(source));
}

static void add_skipped(struct text_splitter *self, const char *bytes, size_t length)
{
    if (length == 0) {
        return;
    }
    if (self->ends_with_return) {
        digest_add(&self->skipped, "\r", 1);
    }
    self->ends_with_return = bytes[length - 1] == '\r';
    digest_add(&self->skipped, bytes, length - self->ends_with_return);
}

/* The rest of the window is damaged; a record without bytes of its own stands for damage alone. */
static void give_damaged(struct source *source, enum stream_event event,
                         struct raw_record *ret_record)
{
    struct text_splitter *self = of(source);
    struct text bytes = {source->window.data, (uint32_t)source->window.length};
    const struct digest *whole = NULL;
    if (self->is_skipping) {
        add_skipped(self, bytes.data, bytes.length);
        digest_end(&self->skipped, &self->whole);
        whole = &self->whole;
        bytes = self->head;
    } else if (bytes.length > DEAD_LETTER_BYTES_MAX) {
        digest_of(bytes.data, bytes.length, &self->whole);
        whole = &self->whole;
        bytes.length = DEAD_LETTER_BYTES_MAX;
    }
    *ret_record = (struct raw_record){
        .bytes = bytes,
        .position = source->next,
        .whole = whole,
        .defect = event == STREAM_TRUNCATED ? REJECTION_TRUNCATED : REJECTION_BAD_COMPRESSION};
    read_window_take(&source->window, source->window.length);
    source_advance_by_skip(source);
    self->is_skipping = false;
    begin_record(self);
}

static void give_too_long(struct source *source, struct raw_record *ret_record)
{
    struct text_splitter *self = of(source);
    digest_end(&self->skipped, &self->whole);
    *ret_record = (struct raw_record){.bytes = self->head,
                                      .position = source->next,
                                      .defect = REJECTION_TOO_LONG,
                                      .whole = &self->whole};
    self->is_skipping = false;
    self->head = (struct text){NULL, 0};
    source_advance(source);
    begin_record(self);
}

/* Reads over the rest of a line that is too long. True: its end is behind us. */
static bool skip_line(struct text_splitter *self, struct read_window *window)
{
    const char *end = window->length > 0 ? memchr(window->data, '\n', window->length) : NULL;
    add_skipped(self, window->data, end ? (size_t)(end - window->data) : window->length);
    if (!end) {
        read_window_drop(window);
        return self->ending != STREAM_BYTES;
    }
    read_window_take(window, (size_t)(end - window->data) + 1);
    return true;
}

static void begin_skipping(struct source *source)
{
    struct text_splitter *self = of(source);
    self->is_skipping = true;
    self->head = (struct text){source->window.data, DEAD_LETTER_BYTES_MAX};
    digest_begin(&self->skipped);
    self->ends_with_return = false;
    add_skipped(self, self->head.data, self->head.length);
    /* The head stays where it is, so its end is given away before the rest is read over. */
    read_window_take(&source->window, DEAD_LETTER_BYTES_MAX);
}

/* True where the window held a record; else more bytes are needed. */
static bool next_in_window(struct source *source, struct raw_record *ret_record)
{
    struct text_splitter *self = of(source);
    struct read_window *window = &source->window;
    for (;;) {
        if (self->is_skipping) {
            if (!skip_line(self, window)) {
                return false;
            }
            give_too_long(source, ret_record);
            return true;
        }
        size_t end = 0;
        switch (search_end(self, window, &end)) {
        case SEARCH_TOO_LONG:
            begin_skipping(source);
            continue;
        case SEARCH_NOT_CLOSED:
            give(source, end, end + 1, REJECTION_NOT_PARSED, ret_record);
            return true;
        case SEARCH_MORE:
            if (self->ending == STREAM_BYTES || window->length == 0) {
                return false;
            }
            if (self->first_line_end != NOT_YET) {
                give(source, self->first_line_end, self->first_line_end + 1, REJECTION_NOT_PARSED,
                     ret_record);
            } else {
                give(source, window->length, window->length, REJECTION_NONE, ret_record);
            }
            break;
        case SEARCH_FOUND:
            if (end == 0 || (end == 1 && window->data[0] == '\r')) {
                read_window_take(window, end + 1);
                if (source->next.skip == 0) {
                    source->next.bytes = window->data_bytes;
                }
                begin_record(self);
                continue;
            }
            give(source, end, end + 1, REJECTION_NONE, ret_record);
            break;
        }
        if (ret_record->bytes.length > 0) {
            return true;
        }
        source->next = ret_record->position; /* A lone carriage return at the end. */
    }
}

static enum status read_on(struct source *source, enum stream_event *ret_event, struct error *error)
{
    struct text_splitter *self = of(source);
    if (self->pending != STREAM_BYTES) {
        *ret_event = self->pending;
        self->pending = STREAM_BYTES;
        return STATUS_OK;
    }
    enum status status = read_window_fill(&source->window, source->may_block, ret_event, error);
    if (status == STATUS_OK && (*ret_event == STREAM_END || *ret_event == STREAM_REPLACED)) {
        self->ending = *ret_event;
    }
    return status;
}

/*
 * A byte order mark is no part of the first record, and where something else than text begins no
 * line will be one. STREAM_WAIT: cannot tell yet.
 */
static enum status look_for_marks(struct source *source, enum stream_event *ret_event,
                                  struct error *error)
{
    struct read_window *window = &source->window;
    *ret_event = STREAM_BYTES;
    while (*ret_event == STREAM_BYTES && file_mark_may_follow(window->data, window->length)) {
        enum status status = read_on(source, ret_event, error);
        if (status != STATUS_OK || *ret_event == STREAM_WAIT) {
            return status;
        }
        if (*ret_event == STREAM_DAMAGED || *ret_event == STREAM_TRUNCATED) {
            of(source)->pending = *ret_event;
        }
    }
    const struct file_mark *mark = file_mark_find(window->data, window->length);
    if (mark && mark->what) {
        return error_set(error, STATUS_INVALID, "%s: is %s, by its first bytes; expected %s",
                         byte_stream_name(source->stream), mark->what, mark->expected);
    }
    if (mark) {
        read_window_take(window, mark->bytes.length);
        source->next.bytes = window->data_bytes;
    }
    of(source)->has_looked_for_marks = true;
    *ret_event = STREAM_BYTES;
    return STATUS_OK;
}

/* A followed file was replaced: from its start again, header included. */
static void begin_new_file(struct source *source)
{
    struct text_splitter *self = of(source);
    read_window_restart(&source->window, 0);
    source->next.bytes = 0;
    source->next.skip = 0;
    self->ending = STREAM_BYTES;
    self->has_looked_for_marks = false;
    self->expects_header = source->options.csv_has_header && self->is_csv;
    begin_record(self);
}

static enum status next_record(struct source *source, struct raw_record *ret_record,
                               enum source_result *ret_result, struct error *error)
{
    struct text_splitter *self = of(source);
    for (;;) {
        enum stream_event event = STREAM_BYTES;
        enum status status = STATUS_OK;
        if (!self->has_looked_for_marks) {
            status = look_for_marks(source, &event, error);
        }
        if (status == STATUS_OK && event == STREAM_BYTES) {
            if (next_in_window(source, ret_record)) {
                *ret_result = SOURCE_RECORD;
                return STATUS_OK;
            }
            if (self->ending == STREAM_REPLACED) {
                begin_new_file(source);
                continue;
            }
            event = self->ending;
            if (event == STREAM_BYTES) {
                status = read_on(source, &event, error);
            }
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (event == STREAM_DAMAGED || event == STREAM_TRUNCATED) {
            give_damaged(source, event, ret_record);
            *ret_result = SOURCE_RECORD;
            return STATUS_OK;
        }
        if (event == STREAM_WAIT) {
            *ret_result = SOURCE_WAIT;
            return STATUS_OK;
        }
        if (event == STREAM_END && source->window.length == 0 && !self->is_skipping) {
            *ret_result = SOURCE_END;
            return STATUS_OK;
        }
    }
}

static enum status next_after_header(struct source *source, struct raw_record *ret_record,
                                     enum source_result *ret_result, struct error *error)
{
    struct text_splitter *self = of(source);
    bool is_at_header =
        source->next.ordinal == 0 && source->next.bytes == self->lost_header.position.bytes;
    if (self->gives_lost_header && is_at_header) {
        self->gives_lost_header = false;
        *ret_record = self->lost_header;
        *ret_result = SOURCE_RECORD;
        source->next = self->behind_lost_header;
        return STATUS_OK;
    }
    enum status status = next_record(source, ret_record, ret_result, error);
    if (status == STATUS_OK && *ret_result == SOURCE_RECORD && self->has_lost_header &&
        ret_record->defect == REJECTION_NONE) {
        ret_record->defect = REJECTION_NOT_PARSED;
    }
    if (status != STATUS_OK || *ret_result != SOURCE_RECORD || !self->expects_header) {
        return status;
    }
    if (!text_equal(ret_record->bytes, self->header_line)) {
        return error_set(error, STATUS_INVALID,
                         "%s: was replaced by a file with another header, \"%.*s\"; expected "
                         "\"%.*s\"",
                         byte_stream_name(source->stream), (int)ret_record->bytes.length,
                         ret_record->bytes.data, (int)self->header_line.length,
                         self->header_line.data);
    }
    self->expects_header = false;
    source->next.ordinal--;
    return next_record(source, ret_record, ret_result, error);
}

static void reset(struct source *source)
{
    struct text_splitter *self = of(source);
    self->ending = STREAM_BYTES;
    self->pending = STREAM_BYTES;
    self->is_skipping = false;
    self->has_looked_for_marks = true;
    begin_record(self);
    if (source->window.data_bytes == 0) {
        begin_new_file(source);
    }
}

static struct text kept(const struct splitter *splitter)
{
    const struct text_splitter *self = (const struct text_splitter *)splitter;
    return self->is_skipping         ? self->head
           : self->gives_lost_header ? self->lost_header.bytes
                                     : (struct text){NULL, 0};
}

static void destroy(struct splitter *splitter)
{
    struct text_splitter *self = (struct text_splitter *)splitter;
    free((char *)(uintptr_t)self->header_line.data);
    free(self);
}

static const struct splitter_ops text_splitter_ops = {next_after_header, reset, kept, destroy};

/* Appends one name to the header, unquoted and terminated. */
static bool add_column(struct text_list *header, const struct csv_field *field)
{
    char **items = realloc(header->items, sizeof(*items) * (header->count + 1));
    if (!items) {
        return false;
    }
    header->items = items;
    char *name = malloc((size_t)field->text.length + 1);
    if (!name) {
        return false;
    }
    size_t length = field->text.length;
    if (field->has_doubled_quote) {
        length = csv_unquote(field->text, name);
    } else if (length > 0) {
        memcpy(name, field->text.data, length);
    }
    name[length] = '\0';
    items[header->count++] = name;
    return true;
}

static enum status keep_header(struct source *source, struct text line, struct error *error)
{
    struct text_splitter *self = of(source);
    const char *name = byte_stream_name(source->stream);
    source->csv_header = calloc(1, sizeof(*source->csv_header));
    char *copy = malloc((size_t)line.length + 1);
    if (!source->csv_header || !copy) {
        free(copy);
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    memcpy(copy, line.data, line.length);
    self->header_line = (struct text){copy, line.length};
    struct csv_cursor cursor = csv_cursor_of(line, self->delimiter);
    struct csv_field field;
    for (;;) {
        enum csv_result result = csv_next_field(&cursor, &field);
        if (result == CSV_END) {
            return STATUS_OK;
        }
        if (result != CSV_FIELD) {
            return error_set(error, STATUS_INVALID,
                             "%s: the header's field %zu has a quote in the wrong place; expected "
                             "column names",
                             name, source->csv_header->count + 1);
        }
        if (!add_column(source->csv_header, &field)) {
            return error_set(error, STATUS_FATAL, "%s: out of memory", name);
        }
    }
}

static enum status read_header(struct source *source, struct error *error)
{
    struct raw_record record;
    enum source_result result = SOURCE_END;
    enum status status = next_record(source, &record, &result, error);
    if (status != STATUS_OK || result == SOURCE_END) {
        return status; /* An empty file has neither header nor records. */
    }
    if (result == SOURCE_WAIT) {
        return error_set(error, STATUS_INVALID,
                         "%s: is empty; expected a header line before it is followed",
                         byte_stream_name(source->stream));
    }
    if (record.defect != REJECTION_NONE) {
        struct text_splitter *self = of(source);
        self->has_lost_header = source_csv_header(source) == NULL;
        self->gives_lost_header = true;
        self->lost_header = record;
        self->behind_lost_header = source->next;
        source->next = record.position; /* Behind empty lines, as whoever resumes there counts. */
        return STATUS_OK;
    }
    source->next.ordinal = 0;
    return keep_header(source, record.bytes, error);
}

enum status text_splitter_create(struct source *source, struct splitter **ret_splitter,
                                 struct error *error)
{
    struct text_splitter *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", source->path);
    }
    self->splitter.ops = &text_splitter_ops;
    self->is_csv = source->options.format == INPUT_CSV;
    self->delimiter = source->options.csv_delimiter;
    self->comment = source->options.csv_comment;
    self->ending = STREAM_BYTES;
    self->pending = STREAM_BYTES;
    begin_record(self);
    source->splitter = &self->splitter;
    *ret_splitter = &self->splitter;
    return self->is_csv && source->options.csv_has_header ? read_header(source, error) : STATUS_OK;
}
