/* Avro containers for tests, written by Avro C: the reader under test is checked by another's work.
 */
#ifndef TEST_SOURCE_AVRO_FILES_H
#define TEST_SOURCE_AVRO_FILES_H

#include <stdio.h>
#include <string.h>

#include <avro.h>

#define AVRO_PERSON                                                                                \
    "{\"type\":\"record\",\"name\":\"person\",\"fields\":["                                        \
    "{\"name\":\"name\",\"type\":\"string\"},"                                                     \
    "{\"name\":\"age\",\"type\":[\"null\",\"int\"],\"default\":null}]}"

/* `count` people, `name_bytes` letters each; `block_bytes` is what a block may hold. */
static inline void must(int failure)
{
    if (failure) {
        fail_msg("%s", avro_strerror());
    }
}

static inline void write_people(const char *path, const char *codec, int count, size_t name_bytes,
                                size_t block_bytes)
{
    avro_schema_t schema = NULL;
    avro_file_writer_t writer = NULL;
    assert_int_equal(avro_schema_from_json_length(AVRO_PERSON, strlen(AVRO_PERSON), &schema), 0);
    (void)remove(path);
    assert_int_equal(avro_file_writer_create_with_codec(path, schema, &writer, codec, block_bytes),
                     0);
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    char *name = malloc(name_bytes + 16);
    for (int i = 0; i < count; i++) {
        avro_value_t person;
        must(avro_generic_value_new(class, &person));
        avro_value_t field = person;
        avro_value_t branch = person;
        int head = snprintf(name, name_bytes + 16, "p%d", i);
        memset(name + head, 'a' + i % 26, name_bytes);
        name[name_bytes > (size_t)head ? name_bytes : (size_t)head] = '\0';
        must(avro_value_get_by_index(&person, 0, &field, NULL));
        must(avro_value_set_string(&field, name));
        must(avro_value_get_by_index(&person, 1, &field, NULL));
        must(avro_value_set_branch(&field, i % 2, &branch));
        must(i % 2 ? avro_value_set_int(&branch, i) : avro_value_set_null(&branch));
        assert_int_equal(avro_file_writer_append_value(writer, &person), 0);
        avro_value_decref(&person);
    }
    free(name);
    avro_value_iface_decref(class);
    assert_int_equal(avro_file_writer_close(writer), 0);
    avro_schema_decref(schema);
}

#endif
