/* The C headers use compound literals in inline functions, which strict C++ complains of. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
extern "C" {
#include "pipeline/base/arena.h"
#include "pipeline/base/text.h"
#include "pipeline/event/json_paths.h"
}
#pragma GCC diagnostic pop
#include "pipeline/event/json_reader.h"

#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <simdjson.h>

namespace
{

namespace ondemand = simdjson::ondemand;

constexpr size_t CHOICE_BYTES_MAX = 128; /* Of a word that chooses an element. */
constexpr size_t PATHS_BLOCK_BYTES = 16384;

} // namespace

struct json_reader {
    ondemand::parser parser;
    arena memory = {};                  /* Of the paths. */
    const json_names *wanted = nullptr; /* Of the record itself. */
    size_t value_count = 0;
    std::string collected;
    uint32_t members_max = 0;
    std::vector<text> members;

    json_reader()
    {
        arena_init(&memory, PATHS_BLOCK_BYTES);
    }
    ~json_reader()
    {
        arena_release(&memory);
    }
    json_reader(const json_reader &) = delete;
    json_reader &operator=(const json_reader &) = delete;
};

namespace
{

/* One pass over one record. */
class object_pass
{
  public:
    object_pass(json_reader &reader, arena *memory, field_value *values)
        : reader_(reader), memory_(memory), values_(values)
    {
    }

    simdjson::error_code read_object(ondemand::object object, const json_names &names, bool is_top);
    bool has_too_many() const
    {
        return has_too_many_;
    }

  private:
    simdjson::error_code read_wanted(ondemand::value value, const json_target &wanted);
    simdjson::error_code read_array(ondemand::array elements, const json_array &array);
    simdjson::error_code read_element(ondemand::value value, const json_array &array,
                                      const json_target *place);
    simdjson::error_code read_chosen(ondemand::object &element, const json_target &wanted);
    simdjson::error_code choose(ondemand::object &element, const json_choice &choice,
                                const json_target **ret_wanted);
    simdjson::error_code read_key(ondemand::field &field, std::string_view *ret_key);
    simdjson::error_code read_value(ondemand::value value, field_value *out);
    simdjson::error_code read_string(ondemand::value value, text *out);
    simdjson::error_code read_number(ondemand::value value, field_value *out);
    simdjson::error_code read_nested(ondemand::value value, text *out);
    simdjson::error_code collect(ondemand::value value);
    simdjson::error_code keep_key(std::string_view key, text *out);

    json_reader &reader_;
    arena *memory_;
    field_value *values_;
    bool has_too_many_ = false;
};

inline text text_from(std::string_view view)
{
    text made;
    made.data = view.data();
    made.length = static_cast<uint32_t>(view.size());
    return made;
}

/* A token reaches to the next one: without the white space between them. */
inline std::string_view trimmed(std::string_view token)
{
    while (!token.empty() && (token.back() == ' ' || token.back() == '\t' || token.back() == '\n' ||
                              token.back() == '\r')) {
        token.remove_suffix(1);
    }
    return token;
}

simdjson::error_code object_pass::read_key(ondemand::field &field, std::string_view *ret_key)
{
    const char *raw = field.key().raw();
    const char *end = raw;
    while (*end != '"' && *end != '\\') { /* The parser has seen the closing quote. */
        end++;
    }
    if (*end == '"') {
        *ret_key = std::string_view(raw, static_cast<size_t>(end - raw));
        return simdjson::SUCCESS;
    }
    /* By way of a result, which newer versions of the library give a default argument. */
    return simdjson::simdjson_result<ondemand::field>(ondemand::field(field))
        .unescaped_key()
        .get(*ret_key);
}

simdjson::error_code object_pass::read_string(ondemand::value value, text *out)
{
    std::string_view token = trimmed(value.raw_json_token());
    ondemand::raw_json_string raw;
    simdjson::error_code failed = value.get_raw_json_string().get(raw);
    if (failed) {
        return failed;
    }
    if (token.size() < 2 || token.back() != '"') {
        return simdjson::STRING_ERROR;
    }
    std::string_view inside = token.substr(1, token.size() - 2);
    if (!std::memchr(inside.data(), '\\', inside.size())) {
        *out = text_from(inside);
        return simdjson::SUCCESS;
    }
    auto *buffer =
        static_cast<uint8_t *>(arena_take(memory_, inside.size() + simdjson::SIMDJSON_PADDING));
    if (!buffer) {
        return simdjson::MEMALLOC;
    }
    std::string_view plain;
    failed = reader_.parser.unescape(raw, buffer).get(plain);
    *out = text_from(plain);
    return failed;
}

/* True where the text has a number's form, however large it is. */
bool is_number_form(std::string_view token)
{
    size_t digits = 0;
    for (char c : token) {
        if (c >= '0' && c <= '9') {
            digits++;
        } else if (c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E') {
            return false;
        }
    }
    return digits > 18 || token.find_first_of("eE") != std::string_view::npos;
}

simdjson::error_code object_pass::read_number(ondemand::value value, field_value *out)
{
    std::string_view token = trimmed(value.raw_json_token());
    out->text = text_from(token);
    ondemand::number number;
    simdjson::error_code failed = value.get_number().get(number);
    if (failed) {
        if (!is_number_form(token)) {
            return failed;
        }
        out->kind = VALUE_NUMBER;
        out->number = std::numeric_limits<double>::infinity();
        return simdjson::SUCCESS;
    }
    if (number.is_int64()) {
        out->kind = VALUE_INTEGER;
        out->integer = number.get_int64();
    } else {
        out->kind = VALUE_NUMBER;
        out->number = number.as_double();
    }
    return simdjson::SUCCESS;
}

simdjson::error_code object_pass::read_nested(ondemand::value value, text *out)
{
    std::string_view json;
    ondemand::json_type type;
    simdjson::error_code failed = value.type().get(type);
    if (failed) {
        return failed;
    }
    if (type == ondemand::json_type::object) {
        ondemand::object object;
        failed = value.get_object().get(object);
        failed = failed ? failed : object.raw_json().get(json);
    } else {
        ondemand::array array;
        failed = value.get_array().get(array);
        failed = failed ? failed : array.raw_json().get(json);
    }
    *out = text_from(trimmed(json));
    return failed;
}

simdjson::error_code object_pass::read_value(ondemand::value value, field_value *out)
{
    ondemand::json_type type;
    simdjson::error_code failed = value.type().get(type);
    if (failed) {
        return failed;
    }
    switch (type) {
    case ondemand::json_type::string:
        failed = read_string(value, &out->text);
        out->kind = VALUE_TEXT;
        return failed;
    case ondemand::json_type::number:
        return read_number(value, out);
    case ondemand::json_type::boolean: {
        bool is_true = false;
        failed = value.get_bool().get(is_true);
        out->kind = VALUE_BOOL;
        out->integer = is_true;
        out->text = text_from(is_true ? "true" : "false");
        return failed;
    }
    case ondemand::json_type::null: {
        bool is_null = false;
        failed = value.is_null().get(is_null);
        return failed || is_null ? failed : simdjson::N_ATOM_ERROR;
    }
    default:
        failed = read_nested(value, &out->text);
        out->kind = VALUE_TEXT;
        return failed;
    }
}

/* Unescaped keys stand in the parser's own buffer, which the next record reuses. */
simdjson::error_code object_pass::keep_key(std::string_view key, text *out)
{
    auto *copy = static_cast<char *>(arena_take(memory_, key.size() + 1));
    if (!copy) {
        return simdjson::MEMALLOC;
    }
    std::memcpy(copy, key.data(), key.size());
    *out = text_from(std::string_view(copy, key.size()));
    return simdjson::SUCCESS;
}

simdjson::error_code object_pass::collect(ondemand::value value)
{
    ondemand::json_type type;
    simdjson::error_code failed = value.type().get(type);
    if (failed || type != ondemand::json_type::object) {
        bool is_null = false;
        bool is_fine = !failed && type == ondemand::json_type::null &&
                       !value.is_null().get(is_null) && is_null;
        return failed ? failed : is_fine ? simdjson::SUCCESS : simdjson::INCORRECT_TYPE;
    }
    ondemand::object object;
    failed = value.get_object().get(object);
    if (failed) {
        return failed;
    }
    for (auto found : object) {
        ondemand::field field;
        std::string_view key;
        text name;
        field_value member = {};
        failed = std::move(found).get(field);
        const char *raw = failed ? nullptr : field.key().raw();
        failed = failed ? failed : read_key(field, &key);
        if (failed) {
            return failed;
        }
        name = text_from(key);
        failed = key.data() == raw ? simdjson::SUCCESS : keep_key(key, &name);
        failed = failed ? failed : read_value(field.value(), &member);
        if (failed) {
            return failed;
        }
        if (member.kind == VALUE_MISSING) {
            continue;
        }
        if (reader_.members.size() >= 2 * size_t{reader_.members_max}) {
            has_too_many_ = true;
            return simdjson::CAPACITY;
        }
        reader_.members.push_back(name);
        reader_.members.push_back(member.text);
    }
    return simdjson::SUCCESS;
}

simdjson::error_code object_pass::read_wanted(ondemand::value value, const json_target &wanted)
{
    ondemand::json_type type;
    simdjson::error_code failed = value.type().get(type);
    if (failed) {
        return failed;
    }
    if (wanted.object && type == ondemand::json_type::object) {
        ondemand::object nested;
        failed = value.get_object().get(nested);
        return failed ? failed : read_object(nested, *wanted.object, false);
    }
    if (wanted.array && type == ondemand::json_type::array) {
        ondemand::array nested;
        failed = value.get_array().get(nested);
        return failed ? failed : read_array(nested, *wanted.array);
    }
    if (wanted.value >= 0 && values_[wanted.value].kind == VALUE_MISSING) {
        return read_value(value, &values_[wanted.value]);
    }
    return simdjson::SUCCESS;
}

/* What the text of the element's member chooses, read from its beginning; NULL: nothing. */
simdjson::error_code object_pass::choose(ondemand::object &element, const json_choice &choice,
                                         const json_target **ret_wanted)
{
    *ret_wanted = nullptr;
    ondemand::value member;
    simdjson::error_code failed =
        element.find_field_unordered({choice.name, choice.length}).get(member);
    if (failed == simdjson::NO_SUCH_FIELD) {
        failed = simdjson::SUCCESS;
    } else if (!failed) {
        field_value word = {};
        failed = read_value(member, &word);
        char padded_word[CHOICE_BYTES_MAX + JSON_NAME_PADDING] = "";
        if (!failed && word.kind != VALUE_MISSING && word.text.length <= CHOICE_BYTES_MAX) {
            std::memcpy(padded_word, word.text.data, word.text.length);
            *ret_wanted = json_names_find(choice.words, padded_word, word.text.length);
        }
    }
    return failed ? failed : element.reset().error();
}

/* What is wanted of an element that is an object; afterwards it can be read from its beginning. */
simdjson::error_code object_pass::read_chosen(ondemand::object &element, const json_target &wanted)
{
    simdjson::error_code failed = simdjson::SUCCESS;
    if (wanted.object) {
        failed = read_object(element, *wanted.object, false);
    } else if (wanted.value >= 0 && values_[wanted.value].kind == VALUE_MISSING) {
        std::string_view json;
        failed = element.raw_json().get(json);
        values_[wanted.value].kind = VALUE_TEXT;
        values_[wanted.value].text = text_from(trimmed(json));
    }
    return failed ? failed : element.reset().error();
}

simdjson::error_code object_pass::read_element(ondemand::value value, const json_array &array,
                                               const json_target *place)
{
    ondemand::json_type type;
    simdjson::error_code failed = value.type().get(type);
    if (failed || !array.choices || type != ondemand::json_type::object) {
        return failed || !place ? failed : read_wanted(value, *place);
    }
    ondemand::object element;
    failed = value.get_object().get(element);
    if (!failed && place) {
        failed = read_chosen(element, *place);
    }
    for (const json_choice *choice = array.choices; choice && !failed; choice = choice->next) {
        const json_target *wanted = nullptr;
        failed = choose(element, *choice, &wanted);
        if (!failed && wanted) {
            failed = read_chosen(element, *wanted);
        }
    }
    return failed;
}

simdjson::error_code object_pass::read_array(ondemand::array elements, const json_array &array)
{
    size_t index = 0;
    for (auto found : elements) {
        ondemand::value value;
        simdjson::error_code failed = std::move(found).get(value);
        const json_target *place = index < array.place_count ? &array.places[index] : nullptr;
        failed = failed ? failed : read_element(value, array, place);
        if (failed) {
            return failed;
        }
        index++;
    }
    return simdjson::SUCCESS;
}

simdjson::error_code object_pass::read_object(ondemand::object object, const json_names &names,
                                              bool is_top)
{
    for (auto found : object) {
        ondemand::field field;
        std::string_view key;
        simdjson::error_code failed = std::move(found).get(field);
        failed = failed ? failed : read_key(field, &key);
        if (failed) {
            return failed;
        }
        const json_target *wanted = json_names_find(&names, key.data(), key.size());
        if (!wanted) {
            if (is_top && !reader_.collected.empty() && key == reader_.collected &&
                reader_.members.empty()) {
                failed = collect(field.value());
                if (failed) {
                    return failed;
                }
            }
            continue;
        }
        failed = read_wanted(field.value(), *wanted);
        if (failed) {
            return failed;
        }
    }
    return simdjson::SUCCESS;
}

simdjson::error_code read_document(ondemand::document &document, const json_reader &reader,
                                   object_pass &pass)
{
    ondemand::object object;
    simdjson::error_code failed = document.get_object().get(object);
    failed = failed ? failed : pass.read_object(object, *reader.wanted, true);
    if (failed) {
        return failed;
    }
    /* Behind the last token there is no location. */
    const char *rest = nullptr;
    return document.current_location().get(rest) == simdjson::OUT_OF_BOUNDS
               ? simdjson::SUCCESS
               : simdjson::TRAILING_CONTENT;
}

json_result explain(simdjson::error_code failed, ondemand::document *document, text json,
                    char *detail, size_t detail_bytes)
{
    const char *at = nullptr;
    /* Safe on a document that has failed: it answers with an error then. */
    if (document && document->current_location().get(at)) {
        at = nullptr;
    }
    const char *what = failed == simdjson::INCORRECT_TYPE && document
                           ? "a value of another type than expected"
                           : simdjson::error_message(failed);
    if (at && at >= json.data && at <= json.data + json.length) {
        (void)std::snprintf(detail, detail_bytes, "JSON at byte %zu: %s",
                            static_cast<size_t>(at - json.data), what);
    } else {
        (void)std::snprintf(detail, detail_bytes, "JSON of %u bytes: %s", json.length, what);
    }
    if (failed == simdjson::MEMALLOC) {
        return JSON_NO_MEMORY;
    }
    return failed == simdjson::UTF8_ERROR ? JSON_BAD_UTF8 : JSON_NOT_PARSED;
}

} // namespace

struct json_reader *json_reader_create(const char *const *paths, size_t count,
                                       const char *collected, uint32_t members_max)
try {
    std::unique_ptr<json_reader> reader(new json_reader);
    reader->wanted = json_paths_make(&reader->memory, paths, count);
    if (!reader->wanted) {
        return nullptr;
    }
    reader->value_count = count;
    reader->collected = collected ? collected : "";
    reader->members_max = members_max;
    reader->members.reserve(2 * size_t{members_max});
    return reader.release();
} catch (const std::bad_alloc &) {
    return nullptr;
}

void json_reader_destroy(struct json_reader *reader)
{
    delete reader;
}

enum json_result json_reader_read(struct json_reader *reader, struct text json, struct arena *arena,
                                  struct field_value *values, struct json_members *ret_members,
                                  char *detail, size_t detail_bytes)
{
    std::memset(values, 0, reader->value_count * sizeof(*values));
    reader->members.clear();
    ret_members->texts = nullptr;
    ret_members->count = 0;
    ondemand::document document;
    simdjson::error_code failed =
        reader->parser.iterate(json.data, json.length, json.length + simdjson::SIMDJSON_PADDING)
            .get(document);
    if (failed) {
        return explain(failed, nullptr, json, detail, detail_bytes);
    }
    object_pass pass(*reader, arena, values);
    failed = read_document(document, *reader, pass);
    if (pass.has_too_many()) {
        (void)std::snprintf(detail, detail_bytes, "%s: more than %u members",
                            reader->collected.c_str(), reader->members_max);
        return JSON_TOO_MANY;
    }
    if (failed) {
        return explain(failed, &document, json, detail, detail_bytes);
    }
    if (!reader->members.empty()) {
        size_t bytes = reader->members.size() * sizeof(text);
        void *copy = arena_take(arena, bytes);
        if (!copy) {
            return explain(simdjson::MEMALLOC, nullptr, json, detail, detail_bytes);
        }
        std::memcpy(copy, reader->members.data(), bytes);
        ret_members->texts = static_cast<struct text *>(copy);
        ret_members->count = static_cast<uint32_t>(reader->members.size() / 2);
    }
    return JSON_OK;
}
