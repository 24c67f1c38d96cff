#include "pipeline/run/table_rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/number_text.h"
#include "pipeline/run/train_config.h"

#define LINE_BYTES 65536
#define COLUMNS_MAX (FEATURES_MAX + 3)

/* Where the columns that are no features stand; -1: not there. */
struct layout {
    int time, label, group;
    uint32_t columns;
};

struct reader {
    const char *path;
    FILE *file;
    uint64_t line;
    char bytes[LINE_BYTES];
    char *cells[COLUMNS_MAX];
    uint32_t cell_count;
};

static enum status open_reader(const char *path, struct reader *reader, struct error *error)
{
    *reader = (struct reader){.path = path, .file = fopen(path, "rb")};
    return reader->file ? STATUS_OK
                        : error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
}

/* Cuts the next line into cells; ret_has_line is false at the end of the file. */
static enum status next_line(struct reader *reader, bool *ret_has_line, struct error *error)
{
    reader->line++;
    reader->cell_count = 0;
    *ret_has_line = fgets(reader->bytes, LINE_BYTES, reader->file) != NULL;
    if (!*ret_has_line) {
        return ferror(reader->file)
                   ? error_set(error, STATUS_INVALID, "%s: %s", reader->path, strerror(errno))
                   : STATUS_OK;
    }
    size_t length = strlen(reader->bytes);
    if (length == LINE_BYTES - 1) {
        return error_set(error, STATUS_INVALID, "%s:%llu: a line under %d bytes expected",
                         reader->path, (unsigned long long)reader->line, LINE_BYTES - 1);
    }
    while (length > 0 && strchr("\r\n", reader->bytes[length - 1])) {
        reader->bytes[--length] = '\0';
    }
    for (char *cell = reader->bytes; cell;) {
        if (reader->cell_count == COLUMNS_MAX) {
            return error_set(error, STATUS_INVALID, "%s:%llu: more than %u columns", reader->path,
                             (unsigned long long)reader->line, COLUMNS_MAX);
        }
        reader->cells[reader->cell_count++] = cell;
        cell = strchr(cell, ',');
        if (cell) {
            *cell++ = '\0';
        }
    }
    return STATUS_OK;
}

static bool is_name(const char *text)
{
    static const char *const more =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    return *text != '\0' && strspn(text, more) == strlen(text);
}

static enum status take_name(const struct reader *reader, uint32_t column, struct layout *layout,
                             struct table_names *names, struct error *error)
{
    const char *name = reader->cells[column];
    int *const places[] = {&layout->time, &layout->label, &layout->group};
    static const char *const words[] = {"time", "label", "group"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, words[i]) == 0) {
            *places[i] = (int)column;
            return STATUS_OK;
        }
    }
    if (!is_name(name)) {
        return error_set(error, STATUS_INVALID,
                         "%s:1: column %u: \"%s\": a name of letters, digits and _ expected",
                         reader->path, column + 1, name);
    }
    for (uint32_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], name) == 0) {
            return error_set(error, STATUS_INVALID, "%s:1: column %s stands there twice",
                             reader->path, name);
        }
    }
    if (names->count == FEATURES_MAX) {
        return error_set(error, STATUS_INVALID, "%s:1: more than %u features", reader->path,
                         FEATURES_MAX);
    }
    names->names[names->count] = strdup(name);
    return names->names[names->count++] ? STATUS_OK
                                        : error_set(error, STATUS_FATAL, "out of memory");
}

static enum status read_header(struct reader *reader, struct layout *layout,
                               struct table_names *names, struct error *error)
{
    bool has_line;
    *layout = (struct layout){-1, -1, -1, 0};
    enum status status = next_line(reader, &has_line, error);
    for (uint32_t i = 0; status == STATUS_OK && i < reader->cell_count; i++) {
        status = take_name(reader, i, layout, names, error);
    }
    layout->columns = reader->cell_count;
    if (status == STATUS_OK && (layout->time < 0 || layout->label < 0 || names->count == 0)) {
        status = error_set(error, STATUS_INVALID,
                           "%s:1: columns time and label and at least one feature expected",
                           reader->path);
    }
    return status;
}

enum status table_names_read(const char *path, struct table_names *ret_names, struct error *error)
{
    struct reader *reader = malloc(sizeof(*reader));
    if (!reader) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    struct table_names names = {.count = 0};
    struct layout layout;
    enum status status = open_reader(path, reader, error);
    if (status == STATUS_OK) {
        status = read_header(reader, &layout, &names, error);
        (void)fclose(reader->file);
    }
    free(reader);
    if (status != STATUS_OK) {
        table_names_release(&names);
        return status;
    }
    *ret_names = names;
    return STATUS_OK;
}

void table_names_release(struct table_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    names->count = 0;
}

static enum status refuse_cell(const struct reader *reader, const char *column, const char *cell,
                               const char *expected, struct error *error)
{
    return error_set(error, STATUS_INVALID, "%s:%llu: %s: \"%.60s\": %s expected", reader->path,
                     (unsigned long long)reader->line, column, cell, expected);
}

static enum status read_row(const struct reader *reader, const struct layout *layout,
                            const struct table_names *names, struct table_row *row, float *features,
                            struct error *error)
{
    if (reader->cell_count != layout->columns) {
        return error_set(error, STATUS_INVALID, "%s:%llu: %u columns, %u expected", reader->path,
                         (unsigned long long)reader->line, reader->cell_count, layout->columns);
    }
    const char *label = reader->cells[layout->label];
    if (strcmp(label, "0") != 0 && strcmp(label, "1") != 0) {
        return refuse_cell(reader, "label", label, "0 or 1", error);
    }
    row->label = label[0] == '1';
    if (!train_time_parse(reader->cells[layout->time], &row->time_ms)) {
        return refuse_cell(reader, "time", reader->cells[layout->time],
                           "a time such as 2026-06-01T12:00:00Z", error);
    }
    int64_t group = (int64_t)reader->line;
    if (layout->group >= 0) {
        const char *cell = reader->cells[layout->group];
        if (!number_text_read_long(cell, strlen(cell), &group)) {
            return refuse_cell(reader, "group", cell, "a whole number", error);
        }
    }
    row->group = hash64_combine((uint64_t)group, 1);
    uint32_t feature = 0;
    for (uint32_t i = 0; i < layout->columns; i++) {
        if ((int)i == layout->time || (int)i == layout->label || (int)i == layout->group) {
            continue;
        }
        const char *cell = reader->cells[i];
        double value = *cell ? number_text_read_double(cell, strlen(cell)) : NAN;
        if (*cell && !isfinite((float)value)) {
            return refuse_cell(reader, names->names[feature], cell, "a number, or nothing", error);
        }
        features[feature++] = (float)value;
    }
    return STATUS_OK;
}

static void count_row(const struct table_row *row, struct row_counts *counts)
{
    bool is_first = counts->events == 0;
    counts->first_ms =
        is_first || row->time_ms < counts->first_ms ? row->time_ms : counts->first_ms;
    counts->last_ms = is_first || row->time_ms > counts->last_ms ? row->time_ms : counts->last_ms;
    counts->events++;
    counts->groups++;
}

static enum status read_rows(struct reader *reader, const struct layout *layout,
                             const struct table_names *names, const struct row_options *options,
                             struct row_table *table, struct row_counts *counts,
                             struct error *error)
{
    for (;;) {
        struct table_row row = {.score = NAN, .kind = NO_KIND, .is_on_schedule = true, .prefix = 0};
        float features[FEATURES_MAX];
        bool has_line;
        enum status status = next_line(reader, &has_line, error);
        if (status != STATUS_OK || !has_line) {
            return status;
        }
        status = read_row(reader, layout, names, &row, features, error);
        if (status != STATUS_OK) {
            return status;
        }
        row.group_time_ms = row.time_ms;
        row.sequence = counts->events;
        if (row.time_ms >= options->until_ms) {
            continue;
        }
        count_row(&row, counts);
        bool is_wanted = row.time_ms >= options->from_ms && row.time_ms < options->before_ms;
        if (is_wanted && options->slices) {
            status = row_slices_of_line(options->slices, row.time_ms, features, row.slice, error);
        }
        if (status == STATUS_OK && is_wanted) {
            status = row_table_add(table, &row, features, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
}

static enum status read_file(const char *path, const struct table_names *names,
                             const struct row_options *options, struct row_table *table,
                             struct row_counts *counts, struct reader *reader, struct error *error)
{
    struct table_names own = {.count = 0};
    struct layout layout;
    enum status status = open_reader(path, reader, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = read_header(reader, &layout, &own, error);
    bool is_same = own.count == names->count;
    for (uint32_t i = 0; is_same && i < own.count; i++) {
        is_same = strcmp(own.names[i], names->names[i]) == 0;
    }
    if (status == STATUS_OK && !is_same) {
        status =
            error_set(error, STATUS_INVALID, "%s:1: the columns of the first file expected", path);
    }
    if (status == STATUS_OK) {
        status = read_rows(reader, &layout, names, options, table, counts, error);
    }
    table_names_release(&own);
    (void)fclose(reader->file);
    return status;
}

enum status table_rows_make(const char *const *files, uint32_t file_count,
                            const struct table_names *names, const struct row_options *options,
                            struct row_table *ret_table, struct row_counts *ret_counts,
                            struct error *error)
{
    struct reader *reader = malloc(sizeof(*reader));
    *ret_counts = (struct row_counts){0};
    enum status status =
        reader ? row_table_init(ret_table, names->count, options->rows_max, options->seed, error)
               : error_set(error, STATUS_FATAL, "out of memory");
    for (uint32_t i = 0; status == STATUS_OK && i < file_count; i++) {
        status = read_file(files[i], names, options, ret_table, ret_counts, reader, error);
    }
    free(reader);
    if (status != STATUS_OK) {
        row_table_release(ret_table);
        return status;
    }
    row_table_weigh(ret_table);
    return STATUS_OK;
}
