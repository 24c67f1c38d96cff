#include "test/fuzz/decoder_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char fields[][16] = {"remote_address", "remote_user", "time",      "method",
                                "target",         "path",        "status",    "bytes",
                                "referrer",       "user_agent",  "query.a b", "query.c",
                                "extra.1",        "extra.16"};
    static char *names[sizeof(fields) / sizeof(fields[0])];
    static struct mapping mapping = {.wanted = {names, sizeof(fields) / sizeof(fields[0])}};
    static struct decoder *decoder;
    struct source_options options = {.path = "fuzz", .format = INPUT_COMBINED_LOG};
    for (size_t i = 0; i < mapping.wanted.count; i++) {
        names[i] = fields[i];
    }
    if (!decoder && decoder_create(&mapping, &options, NULL, &decoder, NULL) != STATUS_OK) {
        abort();
    }
    fuzz_record(decoder, &mapping, data, size);
    return 0;
}
