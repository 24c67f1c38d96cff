#include "test/fuzz/decoder_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char a[] = "a", nested[] = "b.c";
    static char *names[] = {a, nested};
    static struct mapping canonical = {.is_canonical = true};
    static struct mapping mapping = {.wanted = {names, 2}};
    struct source_options options = {.format = INPUT_AVRO};
    fuzz_file(&canonical, options, data, size);
    fuzz_file(&mapping, options, data, size);
    return 0;
}
