/* The shipped mappings, on the data they are for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "pipeline/config/settings.h"
#include "pipeline/event/mapping.h"

#define FIELDS_MAX 32
#define LINE_BYTES_MAX 65536

/* What the rows of a file came to. */
struct tally {
    uint32_t types[EVENT_TYPE_COUNT];
    uint32_t rejected;
    uint32_t skipped;
    uint32_t records;
};

struct reader {
    const struct mapping *mapping;
    struct event_batch *batch;
    const char *names[FIELDS_MAX]; /* Of the record's fields. */
    struct text fields[FIELDS_MAX];
    uint32_t count;
    struct tally tally;
};

static void field_add(struct reader *reader, const char *name, const char *begin, const char *end)
{
    assert_true(reader->count < FIELDS_MAX);
    reader->names[reader->count] = name;
    reader->fields[reader->count++] = (struct text){begin, (uint32_t)(end - begin)};
}

static void apply(struct reader *reader)
{
    const struct text_list *sources = mapping_source_fields(reader->mapping);
    struct field_value values[FIELDS_MAX] = {0};
    for (size_t i = 0; i < sources->count; i++) {
        uint32_t field = 0;
        while (field < reader->count && strcmp(reader->names[field], sources->items[i]) != 0) {
            field++;
        }
        if (field == reader->count) {
            fail_msg("the mapping reads %s, which the file does not have", sources->items[i]);
        }
        bool is_empty = reader->fields[field].length == 0 || text_is(reader->fields[field], "-");
        values[i].kind = is_empty ? VALUE_MISSING : VALUE_TEXT;
        values[i].text = reader->fields[field];
    }
    struct rejection rejection = {0};
    event_batch_reset(reader->batch);
    reader->tally.records++;
    switch (mapping_apply(reader->mapping, values, reader->batch, 0, &rejection)) {
    case MAPPING_EVENT:
        reader->tally.types[reader->batch->type[0]]++;
        break;
    case MAPPING_REJECTED:
        if (reader->tally.rejected++ < 3) {
            print_message("  %s\n", rejection.detail);
        }
        break;
    case MAPPING_SKIPPED:
        reader->tally.skipped++;
        break;
    default:
        fail_msg("memory is exhausted");
    }
}

static void read_csv_line(struct reader *reader, char *line, const char *const *columns)
{
    reader->count = 0;
    for (uint32_t i = 0; columns[i]; i++) {
        char *end = line + strcspn(line, ",\r\n");
        field_add(reader, columns[i], line, end);
        line = end + (*end == ',');
    }
}

/* Text in quotes, or up to the next blank. */
static char *read_log_field(struct reader *reader, const char *name, char *line)
{
    char close = *line == '"' ? '"' : *line == '[' ? ']' : ' ';
    line += close != ' ';
    char *end = line;
    while (*end && *end != close && *end != '\n') {
        end += *end == '\\' && end[1] ? 2 : 1;
    }
    field_add(reader, name, line, end);
    end += *end == close;
    return end + (*end == ' ');
}

static void read_log_line(struct reader *reader, char *line)
{
    reader->count = 0;
    line = read_log_field(reader, "remote_address", line);
    line = read_log_field(reader, "ident", line);
    line = read_log_field(reader, "remote_user", line);
    line = read_log_field(reader, "time", line);
    char *request = line + 1;
    line = read_log_field(reader, "request", line);
    char *method = request + strcspn(request, " \"");
    char *target = method + strcspn(method + 1, " \"") + 1;
    field_add(reader, "method", request, method);
    field_add(reader, "target", method + 1, target);
    line = read_log_field(reader, "status", line);
    line = read_log_field(reader, "bytes", line);
    line = read_log_field(reader, "referrer", line);
    (void)read_log_field(reader, "user_agent", line);
}

/* Folder of the data, or NULL with one line where a user has none; CI must have it. */
static const char *data_folder(void)
{
    const char *named = getenv("NUDGE_DATA");
    const char *folder = named ? named : "../shared/data";
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/README.md", folder);
    FILE *file = fopen(path, "r");
    if (file) {
        (void)fclose(file);
        return folder;
    }
    if (getenv("CI")) {
        fail_msg("%s: no data, and CI is set", folder);
    }
    print_message("skipped: no data in %s (set NUDGE_DATA)\n", folder);
    return NULL;
}

/* `columns` of a CSV, or NULL for an access log. False where there are no data. */
static bool tally_file(const char *mapping_path, const char *data, const char *const *columns,
                       bool has_header, uint32_t lines_max, struct tally *ret_tally)
{
    const char *folder = data_folder();
    if (!folder) {
        return false;
    }
    struct error error = {""};
    struct mapping *mapping = NULL;
    struct event_batch batch;
    if (mapping_compile(mapping_path, &mapping, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(event_batch_init(&batch, 0, NULL), STATUS_OK);
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, data);
    gzFile file = gzopen(path, "rb");
    if (!file) {
        fail_msg("%s: cannot be opened", path);
    }
    char *line = malloc(LINE_BYTES_MAX);
    assert_non_null(line);
    struct reader reader = {.mapping = mapping, .batch = &batch};
    if (has_header) {
        assert_non_null(gzgets(file, line, LINE_BYTES_MAX));
    }
    while (reader.tally.records < lines_max && gzgets(file, line, LINE_BYTES_MAX)) {
        if (columns) {
            read_csv_line(&reader, line, columns);
        } else {
            read_log_line(&reader, line);
        }
        apply(&reader);
    }
    *ret_tally = reader.tally;
    free(line);
    (void)gzclose(file);
    event_batch_release(&batch);
    mapping_destroy(mapping);
    print_message("%s: %u records, %u skipped, %u rejected\n", data, reader.tally.records,
                  reader.tally.skipped, reader.tally.rejected);
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (reader.tally.types[type] > 0) {
            print_message("  %-18s %u\n", event_types[type].name, reader.tally.types[type]);
        }
    }
    return true;
}

static void maps_every_event_of_rees46(void **state)
{
    (void)state;
    static const char *const columns[] = {
        "event_time", "event_type", "product_id", "category_id",  "category_code",
        "brand",      "price",      "user_id",    "user_session", NULL};
    struct tally tally;
    if (!tally_file("schemas/mappings/rees46.yaml", "rees46/2019-10-01_until_0230.csv.gz", columns,
                    true, UINT32_MAX, &tally)) {
        return;
    }
    assert_int_equal(tally.records, 5931);
    assert_int_equal(tally.rejected + tally.skipped, 0);
    assert_int_equal(tally.types[EVENT_PRODUCT_VIEW], 5812);
    assert_int_equal(tally.types[EVENT_PURCHASE], 64);
    assert_int_equal(tally.types[EVENT_ADD_TO_CART], 55);
}

static void maps_every_event_of_taobao(void **state)
{
    (void)state;
    static const char *const columns[] = {"user_id",  "item_id",   "category_id",
                                          "behavior", "timestamp", NULL};
    struct tally tally;
    if (!tally_file("schemas/mappings/taobao.yaml", "taobao/user_behavior_slice.csv.gz", columns,
                    false, UINT32_MAX, &tally)) {
        return;
    }
    assert_int_equal(tally.records, 96168);
    assert_int_equal(tally.rejected + tally.skipped, 0);
    assert_true(tally.types[EVENT_PRODUCT_VIEW] > 80000);
    assert_true(tally.types[EVENT_PURCHASE] > 500);
    assert_true(tally.types[EVENT_OTHER] > 500);
}

static void maps_every_click_of_talkingdata(void **state)
{
    (void)state;
    static const char *const columns[] = {
        "ip", "app", "device", "os", "channel", "click_time", "attributed_time", "is_attributed",
        NULL};
    struct tally tally;
    if (!tally_file("schemas/mappings/talkingdata.yaml", "talkingdata/clicks_before_nov9.csv.gz",
                    columns, true, UINT32_MAX, &tally)) {
        return;
    }
    assert_int_equal(tally.types[EVENT_IMPRESSION], 71439);
    assert_int_equal(tally.rejected + tally.skipped, 0);
}

static void maps_every_payment_of_the_fraud_handbook(void **state)
{
    (void)state;
    static const char *const columns[] = {
        "TRANSACTION_ID",  "TX_DATETIME",  "CUSTOMER_ID", "TERMINAL_ID",       "TX_AMOUNT",
        "TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD",    "TX_FRAUD_SCENARIO", NULL};
    struct tally tally;
    if (!tally_file("schemas/mappings/fraud_handbook.yaml", "fraud_handbook/2018-04.csv.gz",
                    columns, true, 20000, &tally)) {
        return;
    }
    assert_int_equal(tally.types[EVENT_PURCHASE], 20000);
}

static void maps_the_access_log_of_zanbil(void **state)
{
    (void)state;
    struct tally tally;
    if (!tally_file("schemas/mappings/zanbil.yaml", "zanbil/access_log.gz", NULL, false, UINT32_MAX,
                    &tally)) {
        return;
    }
    assert_int_equal(tally.records, 100000);
    assert_int_equal(tally.rejected, 0);
    assert_true(tally.types[EVENT_PRODUCT_VIEW] > 1500);
    assert_true(tally.types[EVENT_ADD_TO_CART] > 40);
    assert_true(tally.types[EVENT_CHECKOUT] > 50);
    assert_true(tally.types[EVENT_SEARCH] > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_every_event_of_rees46),
        cmocka_unit_test(maps_every_event_of_taobao),
        cmocka_unit_test(maps_every_click_of_talkingdata),
        cmocka_unit_test(maps_every_payment_of_the_fraud_handbook),
        cmocka_unit_test(maps_the_access_log_of_zanbil),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
