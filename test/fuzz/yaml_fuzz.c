/* Any bytes are a tree or a message; every scalar of a tree can be asked for every meaning. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "pipeline/config/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct yaml_node *node)
{
    bool boolean = false;
    int64_t integer = 0;
    double number = 0;
    struct error error;
    (void)!yaml_bool(node, &boolean, &error);
    (void)!yaml_integer(node, &integer, &error);
    (void)!yaml_number(node, &number, &error);
    (void)!yaml_duration_ms(node, &integer, &error);
    (void)!yaml_size_bytes(node, &integer, &error);
    (void)yaml_is_null(node);
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yaml_node *child = &node->children[i];
        assert(child->line >= node->line || !node->key);
        if (node->kind == YAML_MAPPING) {
            /* Looking up is linear: a sample is enough. */
            assert(i > 100 || yaml_find(node, child->key) == child);
        }
        walk(child);
    }
    if (node->kind == YAML_SCALAR) {
        static const char *const names[] = {"sessions", "gap", NULL};
        (void)nearest_name(node->scalar, names, 2);
        char *path = yaml_resolve_path(node, node->scalar);
        free(path);
    }
    static const char *const known[] = {"a", "b", "c", NULL};
    (void)!yaml_known_keys(node, known, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_document *document = NULL;
    struct error error = {""};
    if (yaml_parse("folder/fuzz.yaml", (const char *)data, size, &document, &error) == STATUS_OK) {
        walk(yaml_root(document));
        yaml_unload(document);
    } else {
        assert(!document && error.message[0]);
    }
    return 0;
}
