#include "pipeline/base/time_zone.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/time_text.h"

#define ZONE_FOLDER "/usr/share/zoneinfo/"
#define ZONE_FILE_BYTES_MAX 65536u
#define TRANSITIONS_MAX 4096u
#define RULE_FIRST_YEAR 1999
#define RULE_LAST_YEAR 2101
#define OFFSET_S_MAX 93599 /* 25:59:59, the most that RFC 8536 allows. */

struct transition {
    int64_t local_s;  /* From this local time on ... */
    int64_t utc_s;    /* ... which is this instant, while the table is made, ... */
    int32_t offset_s; /* ... this offset holds. */
};

struct time_zone {
    int32_t first_offset_s; /* Before the first transition. */
    uint32_t count;
    struct transition *transitions; /* By local_s. */
};

int32_t time_zone_offset_s(const struct time_zone *zone, int64_t local_s)
{
    uint32_t low = 0;
    uint32_t high = zone->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zone->transitions[middle].local_s <= local_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? zone->first_offset_s : zone->transitions[low - 1].offset_s;
}

void time_zone_destroy(struct time_zone *zone)
{
    if (zone) {
        free(zone->transitions);
        free(zone);
    }
}

static struct time_zone *zone_new(int32_t offset_s)
{
    struct time_zone *zone = calloc(1, sizeof(*zone));
    if (zone) {
        zone->first_offset_s = offset_s;
        zone->transitions = calloc(TRANSITIONS_MAX, sizeof(*zone->transitions));
        if (!zone->transitions) {
            free(zone);
            return NULL;
        }
    }
    return zone;
}

/* False where the table is full or time would run backwards. Adding no change is no transition. */
static bool zone_add(struct time_zone *zone, int64_t utc_s, int32_t offset_s)
{
    int32_t before = zone->first_offset_s;
    if (zone->count > 0) {
        const struct transition *last = &zone->transitions[zone->count - 1];
        before = last->offset_s;
        if (utc_s <= last->utc_s) {
            return false;
        }
    }
    if (zone->count == TRANSITIONS_MAX) {
        return false;
    }
    if (offset_s == before) {
        return true;
    }
    int64_t local_s = utc_s + (before > offset_s ? before : offset_s);
    zone->transitions[zone->count++] = (struct transition){local_s, utc_s, offset_s};
    return true;
}

/* ---- Fixed offsets ---- */

static bool two_digits(const char **at, int *ret)
{
    if (!isdigit((unsigned char)(*at)[0]) || !isdigit((unsigned char)(*at)[1])) {
        return false;
    }
    *ret = ((*at)[0] - '0') * 10 + ((*at)[1] - '0');
    *at += 2;
    return true;
}

static bool parse_offset(const char *name, int32_t *ret_offset_s)
{
    if (strcmp(name, "UTC") == 0 || strcmp(name, "GMT") == 0 || strcmp(name, "Z") == 0) {
        *ret_offset_s = 0;
        return true;
    }
    int sign = name[0] == '+' ? 1 : name[0] == '-' ? -1 : 0;
    const char *at = name + 1;
    int hours = 0;
    int minutes = 0;
    if (sign == 0 || !two_digits(&at, &hours)) {
        return false;
    }
    at += *at == ':';
    if (*at != '\0' && !two_digits(&at, &minutes)) {
        return false;
    }
    *ret_offset_s = sign * (hours * 3600 + minutes * 60);
    return *at == '\0' && at[-1] != ':' && hours < 24 && minutes < 60;
}

/* ---- The rule at the end of a file, in the form of POSIX's TZ ---- */

/* A day of the year: Mm.w.d, Jn (no 29 February) or n, and a time of day. */
struct rule_day {
    char kind; /* 'M', 'J' or 'n' */
    int month, week, weekday;
    int day;
    int32_t time_s;
};

struct rule {
    int32_t standard_s; /* East of UTC. */
    int32_t summer_s;
    bool has_summer;
    struct rule_day begin, end;
};

static bool rule_number(const char **at, int max, int *ret)
{
    int value = 0;
    const char *begin = *at;
    while (isdigit((unsigned char)**at) && *at - begin < 4) {
        value = value * 10 + (*(*at)++ - '0');
    }
    *ret = value;
    return *at > begin && value <= max;
}

static bool rule_name(const char **at)
{
    const char *begin = *at;
    if (**at == '<') {
        const char *close = strchr(*at, '>');
        *at = close ? close + 1 : *at;
        return close != NULL;
    }
    while (isalpha((unsigned char)**at)) {
        (*at)++;
    }
    return *at - begin >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool rule_time(const char **at, int32_t *ret_s)
{
    int sign = **at == '-' ? -1 : 1;
    *at += **at == '-' || **at == '+';
    int parts[3] = {0};
    for (int i = 0; i < 3; i++) {
        if (i > 0 && **at != ':') {
            break;
        }
        *at += i > 0;
        if (!rule_number(at, i == 0 ? 167 : 59, &parts[i])) {
            return false;
        }
    }
    *ret_s = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

static bool rule_day(const char **at, struct rule_day *ret)
{
    if (*(*at)++ != ',') {
        return false;
    }
    *ret = (struct rule_day){.kind = 'n', .time_s = 7200};
    bool is_read = false;
    if (**at == 'M') {
        (*at)++;
        ret->kind = 'M';
        is_read = rule_number(at, 12, &ret->month) && ret->month >= 1 && *(*at)++ == '.' &&
                  rule_number(at, 5, &ret->week) && ret->week >= 1 && *(*at)++ == '.' &&
                  rule_number(at, 6, &ret->weekday);
    } else {
        if (**at == 'J') {
            (*at)++;
            ret->kind = 'J';
        }
        is_read = rule_number(at, 365, &ret->day) && (ret->kind == 'n' || ret->day >= 1);
    }
    if (is_read && **at == '/') {
        (*at)++;
        is_read = rule_time(at, &ret->time_s);
    }
    return is_read;
}

static bool rule_parse(const char *at, struct rule *ret)
{
    *ret = (struct rule){0};
    if (!rule_name(&at) || !rule_time(&at, &ret->standard_s)) {
        return false;
    }
    ret->standard_s = -ret->standard_s; /* POSIX counts west of UTC. */
    if (*at == '\0') {
        return true;
    }
    ret->has_summer = true;
    ret->summer_s = ret->standard_s + 3600;
    if (!rule_name(&at)) {
        return false;
    }
    if (*at != ',') {
        if (!rule_time(&at, &ret->summer_s)) {
            return false;
        }
        ret->summer_s = -ret->summer_s;
    }
    return rule_day(&at, &ret->begin) && rule_day(&at, &ret->end) && *at == '\0';
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The local second at which the rule's day strikes in `year`. */
static int64_t rule_local_s(const struct rule_day *rule, int64_t year)
{
    int64_t days = civil_days(year, 1, 1);
    if (rule->kind == 'M') {
        days = civil_days(year, (unsigned)rule->month, 1);
        int first_weekday = (int)((days % 7 + 11) % 7); /* 1970-01-01 was a Thursday. */
        days += (rule->weekday - first_weekday + 7) % 7 + 7 * (rule->week - 1);
        int64_t next = rule->month == 12 ? civil_days(year + 1, 1, 1)
                                         : civil_days(year, (unsigned)rule->month + 1, 1);
        while (days >= next) {
            days -= 7; /* Week 5 means the last one. */
        }
    } else {
        days += rule->kind == 'n' ? rule->day : rule->day - 1 + (is_leap(year) && rule->day >= 60);
    }
    return days * 86400 + rule->time_s;
}

/* Goes on with the rule where the file's own transitions end. */
static bool zone_extend(struct time_zone *zone, const struct rule *rule, int64_t after_utc_s)
{
    if (!rule->has_summer) {
        return true; /* The last transition of the file leads to it. */
    }
    for (int64_t year = RULE_FIRST_YEAR; year <= RULE_LAST_YEAR; year++) {
        int64_t begin = rule_local_s(&rule->begin, year) - rule->standard_s;
        int64_t end = rule_local_s(&rule->end, year) - rule->summer_s;
        int64_t first = begin < end ? begin : end;
        int64_t second = begin < end ? end : begin;
        int32_t first_s = begin < end ? rule->summer_s : rule->standard_s;
        int32_t second_s = begin < end ? rule->standard_s : rule->summer_s;
        if (first > after_utc_s && !zone_add(zone, first, first_s)) {
            return false;
        }
        if (second > after_utc_s && !zone_add(zone, second, second_s)) {
            return false;
        }
    }
    return true;
}

/* ---- The file ---- */

struct reader {
    const unsigned char *at;
    size_t left;
};

static uint64_t read_big_endian(struct reader *reader, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | reader->at[i];
    }
    reader->at += bytes;
    reader->left -= bytes;
    return value;
}

struct header {
    uint32_t isut, isstd, leap, time, type, chars;
};

static bool read_header(struct reader *reader, struct header *ret, char *ret_version)
{
    if (reader->left < 44 || memcmp(reader->at, "TZif", 4) != 0) {
        return false;
    }
    *ret_version = (char)reader->at[4];
    reader->at += 20;
    reader->left -= 20;
    uint32_t *counts[] = {&ret->isut, &ret->isstd, &ret->leap, &ret->time, &ret->type, &ret->chars};
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = (uint32_t)read_big_endian(reader, 4);
        if (*counts[i] > TRANSITIONS_MAX) {
            return false;
        }
    }
    return ret->type >= 1 && ret->type <= 256;
}

static size_t body_bytes(const struct header *header, size_t time_bytes)
{
    return header->time * (time_bytes + 1) + header->type * (size_t)6 + header->chars +
           header->leap * (time_bytes + 4) + header->isstd + header->isut;
}

/* Reads the 64-bit body. False where an index or an offset is beyond its bounds. */
static bool read_body(struct reader *reader, const struct header *header, struct time_zone *zone,
                      int64_t *ret_last_utc_s)
{
    const unsigned char *types = reader->at + header->time * (size_t)9;
    const unsigned char *indices = reader->at + header->time * (size_t)8;
    struct reader offsets = {types, header->type * (size_t)6};
    int32_t offset_of[256];
    for (uint32_t i = 0; i < header->type; i++) {
        offset_of[i] = (int32_t)read_big_endian(&offsets, 4);
        offsets.at += 2;
        if (offset_of[i] > OFFSET_S_MAX || offset_of[i] < -OFFSET_S_MAX) {
            return false;
        }
    }
    zone->first_offset_s = offset_of[0];
    *ret_last_utc_s = INT64_MIN;
    struct reader times = {reader->at, header->time * (size_t)8};
    for (uint32_t i = 0; i < header->time; i++) {
        int64_t utc_s = (int64_t)read_big_endian(&times, 8);
        if (indices[i] >= header->type || utc_s > INT64_MAX / 2000) {
            return false;
        }
        *ret_last_utc_s = utc_s;
        if (utc_s < INT64_MIN / 2000) {
            zone->first_offset_s = offset_of[indices[i]]; /* Big Bang: there is nothing before. */
            continue;
        }
        if (!zone_add(zone, utc_s, offset_of[indices[i]])) {
            return false;
        }
    }
    return true;
}

static bool read_file(struct reader reader, struct time_zone *zone)
{
    struct header header;
    char version = 0;
    if (!read_header(&reader, &header, &version) || version < '2' ||
        reader.left < body_bytes(&header, 4)) {
        return false; /* The first version has no rule for the future. */
    }
    reader.left -= body_bytes(&header, 4);
    reader.at += body_bytes(&header, 4);
    int64_t last_utc_s = 0;
    if (!read_header(&reader, &header, &version) || reader.left < body_bytes(&header, 8) ||
        !read_body(&reader, &header, zone, &last_utc_s)) {
        return false;
    }
    reader.left -= body_bytes(&header, 8);
    reader.at += body_bytes(&header, 8);
    char footer[128];
    if (reader.left < 2 || reader.left > sizeof(footer) || reader.at[0] != '\n' ||
        reader.at[reader.left - 1] != '\n') {
        return false;
    }
    memcpy(footer, reader.at + 1, reader.left - 2);
    footer[reader.left - 2] = '\0';
    struct rule rule;
    if (footer[0] == '\0') {
        return true; /* No rule: the last offset stays. */
    }
    return rule_parse(footer, &rule) && zone_extend(zone, &rule, last_utc_s);
}

enum status time_zone_parse(const unsigned char *bytes, size_t length, struct time_zone **ret_zone,
                            struct error *error)
{
    struct time_zone *zone = zone_new(0);
    if (!zone) {
        return error_set(error, STATUS_FATAL, "time zone: out of memory");
    }
    if (!read_file((struct reader){bytes, length}, zone)) {
        time_zone_destroy(zone);
        return error_set(error, STATUS_INVALID, "not a time zone file that can be read");
    }
    *ret_zone = zone;
    return STATUS_OK;
}

static bool is_zone_name(const char *name)
{
    if (name[0] == '\0' || name[0] == '/' || strlen(name) > 64 || strstr(name, "..")) {
        return false;
    }
    for (const char *at = name; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("/_+-", *at)) {
            return false;
        }
    }
    return true;
}

static enum status load_named(const char *name, struct time_zone **ret_zone, struct error *error)
{
    char path[128];
    (void)snprintf(path, sizeof(path), ZONE_FOLDER "%s", name);
    unsigned char *bytes = malloc(ZONE_FILE_BYTES_MAX);
    if (!bytes) {
        return error_set(error, STATUS_FATAL, "time zone: out of memory");
    }
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(bytes, 1, ZONE_FILE_BYTES_MAX, file) : 0;
    if (file) {
        (void)fclose(file);
    }
    enum status status;
    if (length == 0) {
        status = error_set(error, STATUS_INVALID,
                           "expected a time zone such as Europe/Berlin or +03:30; there is no "
                           "file %s (is the package tzdata installed?)",
                           path);
    } else {
        status = time_zone_parse(bytes, length, ret_zone, error);
        if (status != STATUS_OK) {
            status = error_prefix(error, status, "%s", path);
        }
    }
    free(bytes);
    return status;
}

enum status time_zone_create(const char *name, struct time_zone **ret_zone, struct error *error)
{
    int32_t offset_s = 0;
    if (parse_offset(name, &offset_s)) {
        struct time_zone *zone = zone_new(offset_s);
        if (!zone) {
            return error_set(error, STATUS_FATAL, "time zone: out of memory");
        }
        *ret_zone = zone;
        return STATUS_OK;
    }
    if (!is_zone_name(name)) {
        return error_set(error, STATUS_INVALID,
                         "expected a time zone such as UTC, +03:30 or Europe/Berlin");
    }
    return load_named(name, ret_zone, error);
}
