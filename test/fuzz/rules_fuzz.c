/* Any bytes are a set of rules or are refused with a message; what compiles describes itself. */
#include <stdlib.h>

#include "operators/rule_set.h"
#include "test/fuzz/expression_random.h"

static void ignore_line(void *context, const char *text)
{
    *(size_t *)context += strlen(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_document *document = NULL;
    struct rule_set *set = NULL;
    struct error error = {""};
    if (yaml_parse("fuzz", (const char *)data, size, &document, &error) != STATUS_OK) {
        return 0;
    }
    enum status status =
        rules_compile(yaml_root(document), NULL, &random_feature_set, NULL, 0, &set, &error);
    if (status != STATUS_OK && strncmp(error.message, "fuzz:", 5) != 0) {
        abort(); /* Every complaint names its place. */
    }
    if (status == STATUS_OK) {
        size_t bytes = 0;
        rule_set_describe(set, 3, ignore_line, &bytes);
        rule_set_destroy(set);
    }
    yaml_unload(document);
    return 0;
}
