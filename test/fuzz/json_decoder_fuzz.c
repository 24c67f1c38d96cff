#include "test/fuzz/decoder_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char a[] = "a", nested[] = "b.c", deep[] = "b.d.e";
    static char element[] = "f[1].g", chosen[] = "f[k=x].h", whole[] = "f[k=y]";
    static char *names[] = {a, nested, deep, element, chosen, whole};
    static struct mapping mappings[2] = {{.is_canonical = true}, {.wanted = {names, 6}}};
    static struct decoder *decoders[2];
    struct source_options options = {.path = "fuzz", .format = INPUT_JSONL};
    for (int i = 0; i < 2; i++) {
        if (!decoders[i] &&
            decoder_create(&mappings[i], &options, NULL, &decoders[i], NULL) != STATUS_OK) {
            abort();
        }
        fuzz_record(decoders[i], &mappings[i], data, size);
    }
    return 0;
}
