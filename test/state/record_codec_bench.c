/* Encoding and decoding of a 1 KiB record, half of its words zero, in cache. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/state/record_codec.h"
#include "test/fakes/random.h"

#define RECORDS 16u
#define ROUNDS 100000u

static double seconds(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void measure(const char *name, int is_scattered)
{
    struct record_layout layout = {0};
    static const uint32_t sizes[] = {64, 192, 512, 128, 128};
    for (uint16_t i = 0; i < 5; i++) {
        uint32_t offset;
        const struct record_part part = {
            .name = "part", .id = (uint16_t)(i + 1), .kind = ENTITY_USER, .bytes = sizes[i]};
        enum status status = record_layout_add(&layout, &part, &offset, NULL);
        assert(status == STATUS_OK);
    }
    struct random random = {1};
    size_t record_bytes = sizeof(struct record) + layout.bytes[ENTITY_USER];
    struct record *records[RECORDS];
    unsigned char *encoded[RECORDS];
    size_t lengths[RECORDS];
    for (uint32_t r = 0; r < RECORDS; r++) {
        records[r] = calloc(1, record_bytes);
        encoded[r] = malloc(record_encoded_bytes_max(&layout, ENTITY_USER, 0));
        assert(records[r] && encoded[r]);
        record_init(&layout, (struct record_key){{r, r}, ENTITY_USER}, records[r]);
        for (uint32_t w = 0; w < 128; w++) {
            uint64_t word = (is_scattered ? random_below(&random, 2) : w % 16 < 8) ? w + 1 : 0;
            memcpy(records[r]->parts + 8u * w, &word, 8);
        }
        lengths[r] = record_encode(&layout, records[r], encoded[r]);
    }
    double start = seconds();
    size_t bytes = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t r = 0; r < RECORDS; r++) {
            bytes += record_encode(&layout, records[r], encoded[r]);
        }
    }
    double middle = seconds();
    struct record_decode_counts counts = {0};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t r = 0; r < RECORDS; r++) {
            enum status status =
                record_decode(&layout, encoded[r], lengths[r], records[r], &counts, NULL);
            assert(status == STATUS_OK);
        }
    }
    double end = seconds();
    (void)printf("%s: %zu bytes, encode %.0f ns, decode %.0f ns\n", name, bytes / ROUNDS / RECORDS,
                 (middle - start) * 1e9 / ROUNDS / RECORDS,
                 (end - middle) * 1e9 / ROUNDS / RECORDS);
    for (uint32_t r = 0; r < RECORDS; r++) {
        free(records[r]);
        free(encoded[r]);
    }
}

int main(void)
{
    measure("zero words in runs", 0);
    measure("zero words scattered", 1);
    return 0;
}
