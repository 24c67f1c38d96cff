#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipeline/config/yaml.h"
#include "pipeline/event/event_fields.h"
#include "pipeline/source/avro_schema.h"

#define SCHEMA_PATH "schemas/click_event.avsc"

static const char *const privacy_names[] = {"none", "quasi", "identity", "content"};

static int load(void **state)
{
    struct yaml_document *document = NULL;
    struct error error = {""};
    if (yaml_load(SCHEMA_PATH, &document, &error) != STATUS_OK) {
        print_error("%s\n", error.message);
        return 1;
    }
    *state = document;
    return 0;
}

static int unload(void **state)
{
    yaml_unload(*state);
    return 0;
}

/* The schema's field of that name, or NULL. */
static const struct yaml_node *field_named(void **state, const char *name)
{
    const struct yaml_node *fields = yaml_find(yaml_root(*state), "fields");
    for (size_t i = 0; i < fields->child_count; i++) {
        if (strcmp(yaml_find(&fields->children[i], "name")->scalar, name) == 0) {
            return &fields->children[i];
        }
    }
    return NULL;
}

static void schema_has_exactly_the_fields_of_the_table(void **state)
{
    assert_int_equal(yaml_find(yaml_root(*state), "fields")->child_count, EVENT_FIELD_COUNT);
    for (int i = 0; i < EVENT_FIELD_COUNT; i++) {
        if (!field_named(state, event_fields[i].name)) {
            fail_msg("%s is not in " SCHEMA_PATH, event_fields[i].name);
        }
    }
}

static void privacy_and_documentation_agree(void **state)
{
    for (int i = 0; i < EVENT_FIELD_COUNT; i++) {
        const struct yaml_node *field = field_named(state, event_fields[i].name);
        assert_string_equal(yaml_find(field, "privacy")->scalar,
                            privacy_names[event_fields[i].privacy]);
        const char *doc = yaml_find(field, "doc")->scalar;
        if (strncmp(doc, event_fields[i].doc, strlen(event_fields[i].doc)) != 0) {
            fail_msg("%s is documented as \"%s\"", event_fields[i].name, doc);
        }
    }
    const char *types = yaml_find(field_named(state, "type"), "doc")->scalar;
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        if (!strstr(types, event_types[i].name)) {
            fail_msg("the type %s is not named", event_types[i].name);
        }
    }
}

static void all_but_time_and_type_are_nullable(void **state)
{
    for (int i = 0; i < EVENT_FIELD_COUNT; i++) {
        const struct yaml_node *field = field_named(state, event_fields[i].name);
        const struct yaml_node *type = yaml_find(field, "type");
        if (i == FIELD_EVENT_TIME || i == FIELD_TYPE_WORD) {
            assert_true(type->kind != YAML_SEQUENCE);
            continue;
        }
        assert_int_equal(type->kind, YAML_SEQUENCE);
        assert_string_equal(type->children[0].scalar, "null");
        assert_non_null(yaml_find(field, "default"));
        assert_true(yaml_is_null(yaml_find(field, "default")));
        if (i < TEXT_FIELD_COUNT) {
            assert_string_equal(type->children[1].scalar, "string");
        } else if (i != FIELD_ATTRIBUTES) {
            assert_string_equal(type->children[1].scalar, "long");
        }
    }
}

static void schema_compiles_with_its_logical_type(void **state)
{
    (void)state;
    FILE *file = fopen(SCHEMA_PATH, "rb");
    assert_non_null(file);
    static char json[65536];
    size_t length = fread(json, 1, sizeof(json), file);
    (void)fclose(file);
    struct avro_schema *schema = NULL;
    struct error error = {""};
    if (avro_schema_compile(SCHEMA_PATH, json, length, &schema, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    const struct avro_node *root = avro_schema_root(schema);
    assert_int_equal(root->kind, AVRO_KIND_RECORD);
    for (uint32_t i = 0; i < root->count; i++) {
        bool is_time = text_is(root->names[i], event_fields[FIELD_EVENT_TIME].name);
        assert_int_equal(root->nodes[i]->logical, is_time ? AVRO_TIMESTAMP_MILLIS : AVRO_PLAIN);
    }
    avro_schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_has_exactly_the_fields_of_the_table),
        cmocka_unit_test(privacy_and_documentation_agree),
        cmocka_unit_test(all_but_time_and_type_are_nullable),
        cmocka_unit_test(schema_compiles_with_its_logical_type),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
