/* What a scalar means, and what is said where it means nothing. */
#include "pipeline/config/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX 64u   /* Longer names are near to none. */
#define SHOWN_BYTES_MAX 100u /* Of a value in a message. */

bool yaml_is_null(const struct yaml_node *node)
{
    if (!node) {
        return true;
    }
    if (node->kind != YAML_SCALAR || node->is_quoted) {
        return false;
    }
    return node->scalar[0] == '\0' || strcmp(node->scalar, "~") == 0 ||
           strcasecmp(node->scalar, "null") == 0;
}

void yaml_complain_format(const struct yaml_node *node, struct error *error, const char *format,
                          ...)
{
    char rest[sizeof(error->message)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(rest, sizeof(rest), format, arguments);
    va_end(arguments);
    if (!node) {
        error_format(error, "%s", rest);
    } else if (node->key) {
        error_format(error, "%s:%u: %s: %s", node->file, (unsigned)node->line, node->key, rest);
    } else {
        error_format(error, "%s:%u: %s", node->file, (unsigned)node->line, rest);
    }
}

/* The value on one line, in quotes, cut where it is long. */
static void show_value(const char *value, char shown[SHOWN_BYTES_MAX + 8])
{
    size_t length = 0;
    shown[length++] = '"';
    for (const char *at = value; *at; at++) {
        bool is_start = ((unsigned char)*at & 0xc0) != 0x80; /* Of a UTF-8 character. */
        if ((is_start && length > SHOWN_BYTES_MAX - 4) || length > SHOWN_BYTES_MAX) {
            (void)snprintf(shown + length, 8, "...\"");
            return;
        }
        bool is_control = (unsigned char)*at < 32 || *at == 127;
        const char *from = is_control ? " " : at;
        shown[length++] = *from;
    }
    shown[length++] = '"';
    shown[length] = '\0';
}

static enum status complain_expected(const struct yaml_node *node, const char *expected,
                                     struct error *error)
{
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, error, "expected %s, not a %s", expected,
                             node->kind == YAML_MAPPING ? "mapping" : "list");
    }
    char shown[SHOWN_BYTES_MAX + 8];
    show_value(node->scalar, shown);
    return yaml_complain(node, error, "%s: expected %s%s", shown, expected,
                         node->is_quoted ? ", without quotes" : "");
}

static bool is_plain(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && !node->is_quoted;
}

enum status yaml_bool(const struct yaml_node *node, bool *ret, struct error *error)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"yes", true},
                 {"no", false},  {"on", true},     {"off", false}};
    for (size_t i = 0; is_plain(node) && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(node->scalar, words[i].word) == 0) {
            *ret = words[i].value;
            return STATUS_OK;
        }
    }
    return complain_expected(node, "true or false", error);
}

enum status yaml_integer(const struct yaml_node *node, int64_t *ret, struct error *error)
{
    if (is_plain(node)) {
        const char *digits = node->scalar;
        digits += *digits == '-' || *digits == '+';
        if (*digits != '\0' && strspn(digits, "0123456789") == strlen(digits)) {
            errno = 0;
            intmax_t value = strtoimax(node->scalar, NULL, 10);
            if (errno == ERANGE) {
                return complain_expected(node, "a whole number of at most 64 bits", error);
            }
            *ret = (int64_t)value;
            return STATUS_OK;
        }
    }
    return complain_expected(node, "a whole number such as 42", error);
}

enum status yaml_number(const struct yaml_node *node, double *ret, struct error *error)
{
    /* The character set keeps out hexadecimal, infinity and not-a-number, which strtod reads. */
    if (is_plain(node) && strpbrk(node->scalar, "0123456789") &&
        strspn(node->scalar, "0123456789+-.eE") == strlen(node->scalar)) {
        char *end = NULL;
        double value = strtod(node->scalar, &end);
        if (*end == '\0' && isfinite(value)) {
            *ret = value;
            return STATUS_OK;
        }
    }
    return complain_expected(node, "a number such as 0.5", error);
}

enum status yaml_float(const struct yaml_node *node, float *ret, struct error *error)
{
    double value = 0;
    enum status status = yaml_number(node, &value, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!isfinite((float)value)) {
        return complain_expected(node, "a number that a float can hold", error);
    }
    *ret = (float)value;
    return STATUS_OK;
}

enum status yaml_float_of(const struct yaml_node *map, const char *key, float fallback, float *ret,
                          struct error *error)
{
    const struct yaml_node *node = yaml_find(map, key);
    if (node) {
        return yaml_float(node, ret, error);
    }
    *ret = fallback;
    return STATUS_OK;
}

struct unit {
    const char *name;
    int64_t factor;
};

/*
 * Decimal digits, perhaps with a fraction, and a unit. Exact: "1.5h" is read as 15 tenths of an
 * hour, never as a binary fraction. False where it is none, too large, or finer than the factor
 * can express.
 */
static bool read_quantity(const char *text, const struct unit *units, size_t unit_count,
                          int64_t *ret)
{
    bool is_negative = *text == '-';
    text += is_negative;
    int64_t mantissa = 0;
    int64_t scale = 1;
    int digits = 0;
    bool is_fraction = false;
    for (;; text++) {
        if (*text == '.' && !is_fraction && digits > 0) {
            is_fraction = true;
            continue;
        }
        if (!isdigit((unsigned char)*text)) {
            break;
        }
        if (__builtin_mul_overflow(mantissa, 10, &mantissa) ||
            __builtin_add_overflow(mantissa, *text - '0', &mantissa) ||
            (is_fraction && __builtin_mul_overflow(scale, 10, &scale))) {
            return false;
        }
        digits++;
    }
    if (digits == 0) {
        return false;
    }
    text += *text == ' ';
    int64_t factor = mantissa == 0 && *text == '\0' ? 1 : 0; /* Zero needs no unit. */
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(text, units[i].name) == 0) {
            factor = units[i].factor;
        }
    }
    int64_t product = 0;
    if (factor == 0 || __builtin_mul_overflow(mantissa, factor, &product) || product % scale != 0) {
        return false;
    }
    *ret = is_negative ? -(product / scale) : product / scale;
    return true;
}

enum status yaml_duration_ms(const struct yaml_node *node, int64_t *ret, struct error *error)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (is_plain(node) &&
        read_quantity(node->scalar, units, sizeof(units) / sizeof(units[0]), ret)) {
        return STATUS_OK;
    }
    return complain_expected(
        node, "a duration: a number with its unit ms, s, m, h or d, such as 30m", error);
}

enum status yaml_size_bytes(const struct yaml_node *node, int64_t *ret, struct error *error)
{
    static const struct unit units[] = {{"B", 1},         {"KiB", 1 << 10}, {"KB", 1 << 10},
                                        {"MiB", 1 << 20}, {"MB", 1 << 20},  {"GiB", 1 << 30},
                                        {"GB", 1 << 30}};
    if (is_plain(node) &&
        read_quantity(node->scalar, units, sizeof(units) / sizeof(units[0]), ret)) {
        return STATUS_OK;
    }
    return complain_expected(
        node, "a size: a number with its unit B, KiB, MiB or GiB, such as 512MiB", error);
}

/*
 * Optimal string alignment: the fewest insertions, deletions, replacements and swaps of neighbours
 * that make one name of the other; letters compare without case.
 */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_length; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            int left = tolower((unsigned char)a[i - 1]);
            int right = tolower((unsigned char)b[j - 1]);
            size_t best = above[j - 1] + (left != right);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && left == tolower((unsigned char)b[j - 2]) &&
                right == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *nearest_name(const char *name, const char *const *names, size_t count)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_BYTES_MAX) {
        return NULL;
    }
    size_t nearest = length / 3 + 1; /* Further than this it is another word. */
    nearest = nearest < length ? nearest + 1 : length;
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if (other > NAME_BYTES_MAX) {
            continue;
        }
        size_t distance = edit_distance(name, length, names[i], other);
        if (distance < nearest) {
            nearest = distance;
            found = names[i];
        }
    }
    return found;
}

enum status yaml_known_keys(const struct yaml_node *mapping, const char *const *names,
                            struct error *error)
{
    if (yaml_is_null(mapping)) {
        return STATUS_OK;
    }
    if (mapping->kind != YAML_MAPPING) {
        return complain_expected(mapping, "a mapping (\"key: value\" lines)", error);
    }
    size_t count = 0;
    while (names[count]) {
        count++;
    }
    for (size_t i = 0; i < mapping->child_count; i++) {
        const struct yaml_node *child = &mapping->children[i];
        size_t known = 0;
        while (known < count && strcmp(child->key, names[known]) != 0) {
            known++;
        }
        if (known < count) {
            continue;
        }
        const char *near = nearest_name(child->key, names, count);
        if (near) {
            return yaml_complain(child, error, "unknown key; did you mean \"%s\"?", near);
        }
        char list[400] = "";
        size_t used = 0;
        for (size_t j = 0; j < count && used < sizeof(list); j++) {
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", j > 0 ? ", " : "",
                                     names[j]);
        }
        return yaml_complain(child, error, "unknown key; expected one of %s", list);
    }
    return STATUS_OK;
}

char *yaml_resolve_path(const struct yaml_node *node, const char *path)
{
    const char *slash = path[0] == '/' ? NULL : strrchr(node->file, '/');
    size_t folder_bytes = slash ? (size_t)(slash - node->file) + 1 : 0;
    char *resolved = malloc(folder_bytes + strlen(path) + 1);
    if (resolved) {
        memcpy(resolved, node->file, folder_bytes);
        memcpy(resolved + folder_bytes, path, strlen(path) + 1);
    }
    return resolved;
}

void yaml_print_text(FILE *out, const char *key, const char *text)
{
    if (!text) {
        return;
    }
    (void)fprintf(out, "%s: \"", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        if ((unsigned char)*text >= ' ') {
            (void)fputc(*text, out);
        }
    }
    (void)fprintf(out, "\"\n");
}
