/* Cost of a record in the mapping: a shop's events, and lines of an access log. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pipeline/config/settings.h"
#include "pipeline/event/mapping.h"

#define ROUNDS 2000
#define ROWS 512

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Name and value in turn, ended by NULL. */
static void bench(const char *path, const char *label, const char *const *pairs)
{
    struct error error = {""};
    struct mapping *mapping = NULL;
    struct event_batch batch;
    struct field_value values[64] = {0};
    struct rejection rejection;
    if (mapping_compile(path, &mapping, &error) != STATUS_OK ||
        event_batch_init(&batch, 0, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    const struct text_list *sources = mapping_source_fields(mapping);
    for (size_t i = 0; i < sources->count; i++) {
        for (const char *const *pair = pairs; *pair; pair += 2) {
            if (strcmp(pair[0], sources->items[i]) == 0) {
                values[i] = (struct field_value){VALUE_TEXT, text_of(pair[1]), 0, 0};
            }
        }
    }
    unsigned long events = 0;
    double begin_s = now_s();
    for (int round = 0; round < ROUNDS; round++) {
        event_batch_reset(&batch);
        for (uint32_t row = 0; row < ROWS; row++) {
            events += mapping_apply(mapping, values, &batch, row, &rejection) == MAPPING_EVENT;
        }
    }
    double elapsed_s = now_s() - begin_s;
    printf("%-28s %7.0f ns a record, %lu events\n", label, elapsed_s * 1e9 / (ROUNDS * ROWS),
           events);
    begin_s = now_s();
    for (int round = 0; events > 0 && round < ROUNDS; round++) {
        for (uint32_t row = 0; row < ROWS; row++) {
            (void)mapping_clean_row(&batch, row, &rejection);
        }
    }
    printf("%-28s %7.0f ns a row\n", "  clean rows again",
           (now_s() - begin_s) * 1e9 / (ROUNDS * ROWS));
    event_batch_release(&batch);
    mapping_destroy(mapping);
}

int main(void)
{
    static const char *const shop[] = {"event_time",
                                       "2019-10-01 00:00:00 UTC",
                                       "event_type",
                                       "view",
                                       "product_id",
                                       "44600062",
                                       "category_id",
                                       "2103807459595387724",
                                       "category_code",
                                       "appliances.environment.water_heater",
                                       "brand",
                                       "shiseido",
                                       "price",
                                       "35.79",
                                       "user_id",
                                       "541312140",
                                       "user_session",
                                       "72d76fde-8bb3-4e00-8c23-a032dfed738c",
                                       NULL};
    static const char *const image[] = {"method", "GET", "target",
                                        "/image/20116?name=q.jpg&wh=200x200", NULL};
    static const char *const product[] = {
        "method",
        "GET",
        "target",
        "/m/product/33719/64428/%DB%8C%D8%AE%DA%86%D8%A7%D9%84-%D9%81%D8%B1%DB%8C%D8%B2%D8%B1",
        "time",
        "26/Jan/2019:19:45:25 +0330",
        "remote_address",
        "10.0.2.96",
        "user_agent",
        "Mozilla/5.0 (Linux; Android 8.1.0; SAMSUNG SM-J710F Build/M1AJQ) AppleWebKit/537.36",
        "status",
        "200",
        NULL};
    bench("schemas/mappings/rees46.yaml", "shop event, CSV", shop);
    bench("schemas/mappings/zanbil.yaml", "log line, image (skipped)", image);
    bench("schemas/mappings/zanbil.yaml", "log line, product page", product);
    return 0;
}
