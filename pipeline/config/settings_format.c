#include "pipeline/config/settings_format.h"

#include <inttypes.h>
#include <string.h>

static const char *const type_names[] = {
    [SETTING_BOOL] = "true or false", [SETTING_INTEGER] = "whole number",
    [SETTING_NUMBER] = "number",      [SETTING_DURATION] = "duration",
    [SETTING_SIZE] = "size",          [SETTING_TEXT] = "text",
    [SETTING_PATH] = "path",          [SETTING_CHOICE] = "choice",
    [SETTING_LIST] = "list of texts", [SETTING_CUSTOM] = "see its section",
};

/* Bounds as large as this stand for none. */
#define UNBOUNDED 9e18

struct setting_range setting_range(const struct setting *setting)
{
    bool is_never_negative = setting->type == SETTING_DURATION || setting->type == SETTING_SIZE;
    if (setting->min == 0 && setting->max == 0) {
        return (struct setting_range){.has_min = is_never_negative};
    }
    return (struct setting_range){.has_min = setting->min > -UNBOUNDED,
                                  .has_max = setting->max < UNBOUNDED,
                                  .min = setting->min,
                                  .max = setting->max};
}

/* In the largest unit that divides the value. */
static void format_in_units(double value, const char *const *names, const int64_t *factors,
                            size_t count, char *text, size_t bytes)
{
    int64_t whole = (int64_t)value;
    size_t unit = 0;
    while (whole != 0 && unit + 1 < count && whole % factors[unit + 1] == 0) {
        unit++;
    }
    (void)snprintf(text, bytes, "%" PRId64 "%s", whole / factors[unit], names[unit]);
}

static void format_value(const struct setting *setting, double value, char *text, size_t bytes)
{
    static const char *const time_names[] = {"ms", "s", "m", "h", "d"};
    static const int64_t time_factors[] = {1, 1000, 60000, 3600000, 86400000};
    static const char *const size_names[] = {"B", "KiB", "MiB", "GiB"};
    static const int64_t size_factors[] = {1, 1 << 10, 1 << 20, 1 << 30};
    if (setting->type == SETTING_DURATION) {
        format_in_units(value, time_names, time_factors, 5, text, bytes);
    } else if (setting->type == SETTING_SIZE) {
        format_in_units(value, size_names, size_factors, 4, text, bytes);
    } else {
        (void)snprintf(text, bytes, "%.15g", value);
    }
}

static void format_choices(const char *const *choices, char text[SETTING_TEXT_BYTES])
{
    size_t used = (size_t)snprintf(text, SETTING_TEXT_BYTES, "one of ");
    for (size_t i = 0; choices[i] && used < SETTING_TEXT_BYTES; i++) {
        used += (size_t)snprintf(text + used, SETTING_TEXT_BYTES - used, "%s%s", i > 0 ? ", " : "",
                                 choices[i]);
    }
}

void setting_format_range(const struct setting *setting, char ret_text[SETTING_TEXT_BYTES])
{
    ret_text[0] = '\0';
    if (setting->type == SETTING_CHOICE) {
        format_choices(setting->choices, ret_text);
        return;
    }
    struct setting_range range = setting_range(setting);
    char min[64];
    char max[64];
    if (range.has_min) {
        format_value(setting, range.min, min, sizeof(min));
    }
    if (range.has_max) {
        format_value(setting, range.max, max, sizeof(max));
    }
    if (range.has_min && range.has_max) {
        (void)snprintf(ret_text, SETTING_TEXT_BYTES, "%s to %s", min, max);
    } else if (range.has_min) {
        (void)snprintf(ret_text, SETTING_TEXT_BYTES, "at least %s", min);
    } else if (range.has_max) {
        (void)snprintf(ret_text, SETTING_TEXT_BYTES, "at most %s", max);
    }
}

/* A pipe would end the cell of a table. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text == '\n' ? ' ' : *text, out);
    }
}

/* What a doc lacks to be a whole sentence. */
static const char *full_stop_of(const char *doc)
{
    size_t length = strlen(doc);
    return length > 0 && doc[length - 1] != '.' ? "." : "";
}

static const char *fallback_of(const struct setting *setting)
{
    return setting->is_required   ? "required"
           : !setting->fallback   ? "not set"
           : setting->is_secret   ? "hidden"
           : setting->fallback[0] ? setting->fallback
                                  : "empty";
}

static void describe_table(const struct setting_section *section, FILE *out)
{
    (void)fprintf(out, "## %s\n\n%s\n\n", section->name, section->doc);
    (void)fputs("| setting | type | default | allowed | meaning |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < section->setting_count; i++) {
        const struct setting *setting = &section->settings[i];
        char range[SETTING_TEXT_BYTES];
        setting_format_range(setting, range);
        (void)fprintf(out, "| `%s` | %s | ", setting->name, type_names[setting->type]);
        print_cell(fallback_of(setting), out);
        (void)fputs(" | ", out);
        print_cell(range, out);
        (void)fputs(" | ", out);
        print_cell(setting->doc, out);
        (void)fprintf(out, "%s%s |\n", full_stop_of(setting->doc),
                      setting->is_secret ? " Secret: never printed." : "");
    }
    (void)fputc('\n', out);
}

static void describe_text(const struct setting_section *section, FILE *out)
{
    (void)fprintf(out, "%s: %s\n", section->name, section->doc);
    for (size_t i = 0; i < section->setting_count; i++) {
        const struct setting *setting = &section->settings[i];
        char range[SETTING_TEXT_BYTES];
        setting_format_range(setting, range);
        (void)fprintf(out, "  %s: %s%s%s; %s%s\n      %s%s%s\n", setting->name,
                      type_names[setting->type], range[0] ? ", " : "", range,
                      setting->is_required ? "" : "default ", fallback_of(setting), setting->doc,
                      full_stop_of(setting->doc),
                      setting->is_secret ? " Secret: never printed." : "");
    }
}

void settings_describe(const struct setting_section *section, bool markdown, FILE *out)
{
    if (markdown) {
        describe_table(section, out);
    } else {
        describe_text(section, out);
    }
}
