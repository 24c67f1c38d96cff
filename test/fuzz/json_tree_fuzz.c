/* Whatever the bytes are: a tree or an error; texts of a tree can be written and read again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/json_text.h"
#include "pipeline/base/json_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_texts(const struct json_value *value, struct arena *arena)
{
    if (value->kind == JSON_TEXT) {
        struct byte_buffer json = {0};
        json_append_text(&json, value->text);
        struct text written = {(const char *)json.bytes, (uint32_t)json.length};
        const struct json_value *again = NULL;
        enum status status = json_tree_parse(written, arena, &again, NULL);
        assert(status == STATUS_OK && text_equal(again->text, value->text));
        byte_buffer_release(&json);
    }
    for (const struct json_value *element = value->first; element; element = element->next) {
        check_texts(element, arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct arena arena;
    arena_init(&arena, 4096);
    const struct json_value *value = NULL;
    struct error error;
    struct text json = {(const char *)bytes, (uint32_t)length};
    if (json_tree_parse(json, &arena, &value, &error) == STATUS_OK) {
        check_texts(value, &arena);
    }
    arena_release(&arena);
    return 0;
}
