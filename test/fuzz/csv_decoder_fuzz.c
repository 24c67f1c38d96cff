#include "test/fuzz/decoder_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char a[] = "a", b[] = "b";
    static char *names[] = {b, a};
    static struct mapping mapping = {.wanted = {names, 2}};
    struct text_list columns = {names, 2};
    fuzz_file(&mapping, (struct source_options){.format = INPUT_CSV, .csv_has_header = true}, data,
              size);
    fuzz_file(&mapping,
              (struct source_options){
                  .format = INPUT_CSV, .csv_columns = &columns, .csv_is_ragged = size % 2 == 1},
              data, size);
    return 0;
}
