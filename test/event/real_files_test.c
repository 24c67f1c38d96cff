/* Real files through source, decoder and the mapping that ships for them: what is in, comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/event/decoder.h"

struct real_file {
    const char *path; /* Below the folder of data. */
    const char *mapping;
    enum input_format format;
    const char *columns; /* NULL: the file has a header. */
    uint64_t records;
    uint64_t rejected; /* Records that are no events for a reason in the data. */
};

static const struct real_file files[] = {
    {"rees46/2019-10-01_until_0230.csv.gz", "schemas/mappings/rees46.yaml", INPUT_CSV, NULL, 5931,
     0},
    {"taobao/user_behavior_slice.csv.gz", "schemas/mappings/taobao.yaml", INPUT_CSV,
     "user_id,item_id,category_id,behavior,timestamp", 96168, 0},
    {"talkingdata/clicks_before_nov9.csv.gz", "schemas/mappings/talkingdata.yaml", INPUT_CSV, NULL,
     71439, 0},
    {"fraud_handbook/2018-04.csv.gz", "schemas/mappings/fraud_handbook.yaml", INPUT_CSV, NULL,
     288062, 0},
    {"zanbil/access_log.gz", "schemas/mappings/zanbil.yaml", INPUT_COMBINED_LOG, NULL, 100000, 0},
};

#define BATCH 1024u

/* The columns' names, each a piece of `names`. */
static struct text_list columns_of(char *names, char **items)
{
    struct text_list columns = {items, 0};
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        items[columns.count++] = name;
    }
    return columns;
}

struct counts {
    uint64_t records, events, rejected, skipped;
    struct rejection last;
};

static void read_batch(struct source *source, struct decoder *decoder, struct event_batch *batch,
                       struct counts *counts, enum source_result *ret_result)
{
    struct error error = {""};
    event_batch_reset(batch);
    source_release(source);
    for (uint32_t row = 0; row < BATCH; row++) {
        struct raw_record record;
        if (source_next(source, &record, ret_result, &error) != STATUS_OK) {
            fail_msg("%s", error.message);
        }
        if (*ret_result != SOURCE_RECORD) {
            return;
        }
        assert_int_equal(record.position.ordinal, counts->records);
        counts->records++;
        struct rejection rejection;
        switch (decoder_decode(decoder, &record, batch, row, &rejection)) {
        case MAPPING_EVENT:
            assert_true(event_has(batch, row, FIELD_EVENT_TIME));
            counts->events++;
            break;
        case MAPPING_REJECTED:
            counts->rejected++;
            counts->last = rejection;
            break;
        case MAPPING_SKIPPED:
            counts->skipped++;
            break;
        case MAPPING_FAILED:
            fail_msg("out of memory");
        }
    }
}

static void read_real_file(const struct real_file *file, const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file->path);
    char names[256];
    char *items[16];
    (void)snprintf(names, sizeof(names), "%s", file->columns ? file->columns : "");
    struct text_list columns = columns_of(names, items);
    struct source_options options = {.path = path,
                                     .format = file->format,
                                     .csv_has_header = !file->columns,
                                     .csv_columns = file->columns ? &columns : NULL};
    struct error error = {""};
    struct mapping *mapping = NULL;
    struct source *source = NULL;
    struct decoder *decoder = NULL;
    struct event_batch batch;
    struct input_position start = {0};
    if (mapping_compile(file->mapping, &mapping, &error) != STATUS_OK ||
        source_open(&options, &start, &source, &error) != STATUS_OK ||
        decoder_create(mapping, &options, source, &decoder, &error) != STATUS_OK ||
        event_batch_init(&batch, 0, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    struct counts counts = {.records = 0};
    enum source_result result = SOURCE_RECORD;
    while (result == SOURCE_RECORD) {
        read_batch(source, decoder, &batch, &counts, &result);
    }
    assert_int_equal(result, SOURCE_END);
    if (counts.records != file->records || counts.rejected != file->rejected ||
        counts.events == 0) {
        fail_msg("%s: %llu records, %llu events, %llu rejected (%s), %llu skipped", file->path,
                 (unsigned long long)counts.records, (unsigned long long)counts.events,
                 (unsigned long long)counts.rejected, counts.last.detail,
                 (unsigned long long)counts.skipped);
    }
    assert_true(source_progress(source) > 0.999);
    event_batch_release(&batch);
    decoder_destroy(decoder);
    source_close(source);
    mapping_destroy(mapping);
}

static void every_record_of_real_files_comes_out(void **state)
{
    (void)state;
    const char *folder = getenv("NUDGE_DATA");
    folder = folder ? folder : "../shared/data";
    if (access(folder, R_OK) != 0) {
        if (getenv("CI")) {
            fail_msg("%s is missing: set NUDGE_DATA to the folder of evaluation data", folder);
        }
        print_message("skipped: no evaluation data in %s (set NUDGE_DATA)\n", folder);
        skip();
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        read_real_file(&files[i], folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_record_of_real_files_comes_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
