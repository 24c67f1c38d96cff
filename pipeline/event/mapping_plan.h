/*
 * What a mapping file is compiled to. For the mapping's own files only: mapping_compile.c makes the
 * plan, mapping_apply.c runs it, mapping_describe.c prints it. All of it stands in the mapping's
 * arena; patterns and zones are chained up beside it, to be destroyed with it.
 */
#ifndef PIPELINE_EVENT_MAPPING_PLAN_H
#define PIPELINE_EVENT_MAPPING_PLAN_H

#include "pipeline/base/decimal_text.h"
#include "pipeline/base/text_pattern.h"
#include "pipeline/base/time_text.h"
#include "pipeline/base/url_text.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/mapping.h"

#define MAPPING_SOURCES_MAX 256u
#define MAPPING_LETS_MAX 32u
#define MAPPING_RULES_MAX 256u
#define MAPPING_WORDS_MAX 4096u   /* Entries of one value map. */
#define MAPPING_PATTERNS_MAX 256u /* Patterns of one condition. */
#define MAPPING_PARTS_MAX 16u     /* Values of one `first` or `join`. */
#define MAPPING_FORMATS_MAX 4u    /* Time formats that are tried in turn. */

/* Words to words, by open addressing. */
struct word_map {
    struct word_entry {
        struct text from;
        struct text to; /* Length 0: the value counts as missing. */
        bool is_used;
    } * slots;
    uint32_t slot_count; /* A power of two. */
    uint32_t count;
    bool has_fallback;
    struct text fallback;
};

enum value_origin {
    ORIGIN_SOURCE, /* sources[index] */
    ORIGIN_LET,    /* lets[index] */
    ORIGIN_CAPTURE,
    ORIGIN_CONSTANT,
    ORIGIN_FIRST, /* the first of `parts` that is there */
    ORIGIN_JOIN,
};

enum letter_case { CASE_KEPT, CASE_LOWER, CASE_UPPER };

/* Where a value comes from, and the steps that it takes, in this order. */
struct value_plan {
    enum value_origin origin;
    uint32_t index;
    struct text constant; /* Also the separator of a join. */
    struct value_plan *parts;
    uint32_t part_count;

    bool has_steps; /* Any of the following. */
    bool has_url_part;
    enum url_part url_part;
    struct text url_name;
    const struct text_pattern **extract;
    uint32_t extract_count;
    struct text split; /* Length 0: none. */
    int32_t take;      /* From 1, or from -1 backwards. */
    bool decodes_url;
    enum letter_case letter_case;
    const struct word_map *words;
    bool is_hashed;

    /* How it is read into a time or number. */
    struct time_format *formats;
    uint32_t format_count;
    const struct time_zone *zone;
    struct decimal_notation notation;
    bool is_absolute;
};

struct field_plan {
    enum event_field field; /* FIELD_ATTRIBUTES: `name` says which. */
    struct text name;
    struct value_plan value;
};

struct field_plans {
    struct field_plan *items;
    uint32_t count;
    uint32_t attribute_count;
    uint64_t mask; /* Of enum event_field. */
};

/* One word of a condition: a pattern, or a range of numbers. */
struct test_plan {
    const struct text_pattern *pattern; /* NULL: the range. */
    double min, max;
};

/* A condition on one value: any of `any` fits and none of `none` does. */
struct condition_plan {
    struct value_plan value;
    struct text name; /* For describe. */
    struct test_plan *any;
    uint32_t any_count;
    struct test_plan *none;
    uint32_t none_count;
    bool wants_missing;
};

struct rule_plan {
    struct condition_plan *conditions;
    uint32_t condition_count;
    struct capture_names captures;
    bool is_skip;
    struct field_plans fields; /* Type, captured fields, `set` and `attributes`. */
    uint32_t line;
};

struct let_plan {
    struct text name;
    struct value_plan value;
};

/* Something to destroy with the mapping. */
struct owned_object {
    struct owned_object *next;
    struct text_pattern *pattern;
    struct time_zone *zone;
};

struct mapping {
    bool is_canonical;
    struct mapping_traits traits;
    struct arena arena;
    struct owned_object *owned;
    struct text_list sources; /* Items in the arena. */
    struct let_plan *lets;
    uint32_t let_count;
    struct rule_plan *rules;
    uint32_t rule_count;
    struct field_plans fields;
};

/* What one apply() works with. */
struct mapping_context {
    const struct mapping *mapping;
    const struct field_value *values;
    struct arena *arena;
    struct field_value lets[MAPPING_LETS_MAX];
    uint32_t let_known; /* Bit per let. */
    bool is_out_of_memory;
    struct text captures[TEXT_PATTERN_CAPTURES_MAX];
};

/* ---- Running plans (mapping_run.c) ---- */

/* Evaluates a plan; VALUE_MISSING on nothing, and where memory is exhausted (context says so). */
struct field_value value_run(struct mapping_context *context, const struct value_plan *plan);

/* The value as text, formatted where it came as a number. */
struct text value_text(struct mapping_context *context, const struct field_value *value);

/* Whether a rule's conditions hold; sets the context's captures. */
bool rule_matches(struct mapping_context *context, const struct rule_plan *rule);

/* ---- Making plans (mapping_value.c, mapping_rule.c, mapping_words.c) ---- */

/* What a value is made for, which decides what keys it may have. */
enum value_use { USE_TEXT, USE_TIME, USE_NUMBER, USE_TYPE };

/* `captures` (NULL: none) are those that the value may name. */
MUST_CHECK enum status value_compile(struct mapping *mapping, const struct capture_names *captures,
                                     const struct yaml_node *node, enum value_use use,
                                     struct value_plan *ret_plan, struct error *error);

/* A value that is just the source field, let or capture of that name. */
MUST_CHECK enum status value_compile_name(struct mapping *mapping,
                                          const struct capture_names *captures, const char *name,
                                          const struct yaml_node *node, struct value_plan *ret_plan,
                                          struct error *error);

/* Compiles a pattern, or each of a sequence of them, into `ret_patterns`. */
MUST_CHECK enum status patterns_compile(struct mapping *mapping, const struct yaml_node *node,
                                        bool ignores_case, struct capture_names *captures,
                                        const struct text_pattern ***ret_patterns,
                                        uint32_t *ret_count, struct error *error);

/* The sequence's children, or the scalar itself as the only one. Complains of anything else. */
MUST_CHECK enum status node_list(const struct yaml_node *node, const struct yaml_node **ret_items,
                                 uint32_t *ret_count, uint32_t max, struct error *error);

/* Zeroed memory of the mapping; NULL when memory is exhausted. */
void *mapping_take(struct mapping *mapping, size_t bytes, enum status *ret_status,
                   struct error *error);

/* A copy of the text that lives as long as the mapping. */
MUST_CHECK enum status mapping_keep(struct mapping *mapping, const char *terminated,
                                    struct text *ret_text, struct error *error);

MUST_CHECK enum status word_map_compile(struct mapping *mapping, const struct yaml_node *node,
                                        const struct yaml_node *fallback, enum value_use use,
                                        struct word_map *ret_map, struct error *error);
/* What the word is mapped to, the fallback, or the word itself. */
struct text word_map_find(const struct word_map *map, struct text word);

/* Complains unless `word` names a known event type. */
MUST_CHECK enum status check_type_word(const struct yaml_node *node, const char *word,
                                       struct error *error);

MUST_CHECK enum status rule_compile(struct mapping *mapping, const struct yaml_node *node,
                                    struct rule_plan *ret_rule, struct error *error);

/* Reads `fields:` or `set:` and adds to what is there. */
MUST_CHECK enum status fields_compile(struct mapping *mapping, const struct capture_names *captures,
                                      const struct yaml_node *node, struct field_plans *fields,
                                      struct error *error);
MUST_CHECK enum status attributes_compile(struct mapping *mapping,
                                          const struct capture_names *captures,
                                          const struct yaml_node *node, struct field_plans *fields,
                                          struct error *error);
void fields_add(struct field_plans *fields, const struct field_plan *plan);

/* ---- Cleaning (mapping_clean.c) ---- */

/* Writes "FIELD: "VALUE": expected ...", with the value cut and made printable. */
enum mapping_result reject(struct rejection *ret, enum rejection_reason reason, const char *field,
                           struct text value, const char *expected);

/* Clean a value and store it with its bit; an empty text clears the bit. */
enum mapping_result store_text(struct event_batch *batch, uint32_t row, enum event_field field,
                               struct text value, struct rejection *ret_rejection);
enum mapping_result store_number(struct event_batch *batch, uint32_t row, enum event_field field,
                                 int64_t value, struct rejection *ret_rejection);
enum mapping_result store_type(struct event_batch *batch, uint32_t row, struct text word,
                               struct rejection *ret_rejection);
enum mapping_result clean_attribute(struct event_batch *batch, struct text name, struct text *value,
                                    struct rejection *ret_rejection);

/* Refuses a row without type or identity. */
enum mapping_result check_row(const struct event_batch *batch, uint32_t row,
                              struct rejection *ret_rejection);

#endif
