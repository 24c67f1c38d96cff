#include "pipeline/base/text_pattern.h"

#include <ctype.h>
#include <stdlib.h>

#define STEPS_MAX 32u
#define PATTERN_BYTES_MAX 1024u

/* Wildcards from narrow to wide: each takes all characters that the one before it takes. */
enum step_kind { STEP_DIGITS, STEP_SEGMENT, STEP_DEEP, STEP_LITERAL };

struct step {
    enum step_kind kind;
    struct text literal; /* STEP_LITERAL: points into `storage`. */
    int capture;         /* Wildcards: index of the capture, or -1. */
    uint32_t length_min; /* Wildcards: 1 for a capture. */
};

struct text_pattern {
    struct step steps[STEPS_MAX];
    uint32_t step_count;
    struct step short_steps[STEPS_MAX]; /* The same without a last slash and **. */
    uint32_t short_step_count;          /* 0: the pattern does not end so. */
    struct text prefix;                 /* What every text that fits begins with. */
    bool ignores_case;
    char storage[PATTERN_BYTES_MAX]; /* Literals; lower case where case is ignored. */
    uint32_t storage_bytes;
};

int capture_find(const struct capture_names *names, struct text name)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (text_is(name, names->names[i])) {
            return (int)i;
        }
    }
    return -1;
}

static enum status capture_add(struct capture_names *names, struct text name, int *ret_index,
                               struct error *error)
{
    *ret_index = capture_find(names, name);
    if (*ret_index >= 0) {
        return STATUS_OK;
    }
    if (name.length >= TEXT_PATTERN_NAME_BYTES) {
        return error_set(error, STATUS_INVALID, "expected names of captures under %u bytes",
                         TEXT_PATTERN_NAME_BYTES);
    }
    for (uint32_t i = 0; i < name.length; i++) {
        if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_') {
            return error_set(error, STATUS_INVALID,
                             "expected letters, digits and _ in the name of a capture");
        }
    }
    if (names->count == TEXT_PATTERN_CAPTURES_MAX) {
        return error_set(error, STATUS_INVALID, "expected at most %u captures",
                         TEXT_PATTERN_CAPTURES_MAX);
    }
    if (name.length > 0) {
        memcpy(names->names[names->count], name.data, name.length);
    }
    names->names[names->count][name.length] = '\0';
    *ret_index = (int)names->count++;
    return STATUS_OK;
}

static enum status add_step(struct text_pattern *self, struct step step, struct error *error)
{
    bool is_wild = step.kind != STEP_LITERAL;
    if (is_wild && self->step_count > 0 && self->steps[self->step_count - 1].kind != STEP_LITERAL) {
        return error_set(error, STATUS_INVALID, "expected some text between two wildcards");
    }
    if (self->step_count == STEPS_MAX) {
        return error_set(error, STATUS_INVALID, "expected at most %u parts", STEPS_MAX);
    }
    self->steps[self->step_count++] = step;
    return STATUS_OK;
}

/* Adds one character to the last literal, or begins one. */
static enum status add_char(struct text_pattern *self, char c, struct error *error)
{
    struct step *last = self->step_count > 0 ? &self->steps[self->step_count - 1] : NULL;
    if (!last || last->kind != STEP_LITERAL) {
        struct step step = {.kind = STEP_LITERAL,
                            .literal = {self->storage + self->storage_bytes, 0},
                            .capture = -1};
        enum status status = add_step(self, step, error);
        if (status != STATUS_OK) {
            return status;
        }
        last = &self->steps[self->step_count - 1];
    }
    if (self->ignores_case) {
        c = (char)tolower((unsigned char)c);
    }
    self->storage[self->storage_bytes++] = c;
    last->literal.length++;
    return STATUS_OK;
}

/* Reads {name:kind}, `*at` behind the opening brace; leaves it at the closing one. */
static enum status add_capture(struct text_pattern *self, const char **at,
                               struct capture_names *names, struct error *error)
{
    const char *close = strchr(*at, '}');
    if (!close) {
        return error_set(error, STATUS_INVALID, "expected } after {");
    }
    const char *colon = memchr(*at, ':', (size_t)(close - *at));
    const char *name_end = colon ? colon : close;
    struct text name = {*at, (uint32_t)(name_end - *at)};
    struct text kind = {colon ? colon + 1 : close, colon ? (uint32_t)(close - colon - 1) : 0};
    struct step step = {.kind = STEP_SEGMENT, .length_min = 1};
    if (text_is(kind, "**")) {
        step.kind = STEP_DEEP;
    } else if (text_is(kind, "digits")) {
        step.kind = STEP_DIGITS;
    } else if (colon) {
        return error_set(error, STATUS_INVALID, "expected {name}, {name:digits} or {name:**}");
    }
    *at = close;
    enum status status = capture_add(names, name, &step.capture, error);
    return status == STATUS_OK ? add_step(self, step, error) : status;
}

static enum status compile(struct text_pattern *self, const char *pattern,
                           struct capture_names *names, struct error *error)
{
    for (const char *at = pattern; *at; at++) {
        enum status status;
        if (*at == '*') {
            bool is_deep = at[1] == '*';
            at += is_deep;
            struct step step = {.kind = is_deep ? STEP_DEEP : STEP_SEGMENT, .capture = -1};
            status = add_step(self, step, error);
        } else if (*at == '{') {
            at++;
            status = add_capture(self, &at, names, error);
        } else {
            at += *at == '\\' && at[1] != '\0';
            status = add_char(self, *at, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    size_t length = strlen(pattern);
    if (length > 3 && strcmp(pattern + length - 3, "/**") == 0) {
        memcpy(self->short_steps, self->steps, sizeof(self->steps));
        struct step *slash = &self->short_steps[self->step_count - 2];
        slash->literal.length--;
        self->short_step_count = self->step_count - (slash->literal.length == 0 ? 2 : 1);
    }
    const struct step *first = self->short_step_count ? self->short_steps : self->steps;
    if (self->step_count > 0 && first->kind == STEP_LITERAL) {
        self->prefix = first->literal;
    }
    return STATUS_OK;
}

enum status text_pattern_compile(const char *pattern, bool ignores_case,
                                 struct capture_names *names, struct text_pattern **ret_pattern,
                                 struct error *error)
{
    if (strlen(pattern) >= PATTERN_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "expected a pattern of at most %u bytes",
                         PATTERN_BYTES_MAX - 1);
    }
    struct text_pattern *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "pattern: out of memory");
    }
    self->ignores_case = ignores_case;
    enum status status = compile(self, pattern, names, error);
    if (status != STATUS_OK) {
        free(self);
        return status;
    }
    *ret_pattern = self;
    return STATUS_OK;
}

void text_pattern_destroy(struct text_pattern *pattern)
{
    free(pattern);
}

/* ---- Matching ---- */

static bool literal_fits(const struct text_pattern *self, struct text literal, const char *at,
                         const char *end)
{
    if ((size_t)(end - at) < literal.length) {
        return false;
    }
    if (!self->ignores_case) {
        return memcmp(at, literal.data, literal.length) == 0;
    }
    for (uint32_t i = 0; i < literal.length; i++) {
        char c = at[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        if (c != literal.data[i]) {
            return false;
        }
    }
    return true;
}

static bool takes(enum step_kind kind, char c)
{
    return kind == STEP_DEEP || (kind == STEP_SEGMENT ? c != '/' : c >= '0' && c <= '9');
}

/* A wildcard that may be given more text: where it ends now. */
struct choice {
    uint32_t step;
    const char *end;
    bool is_set;
};

struct match {
    struct text taken[STEPS_MAX];
    struct choice choices[STEP_DEEP + 1]; /* The last wildcard of each kind. */
};

/* Gives the wildcard its next character. False where it cannot take it. */
static bool widen(struct match *match, enum step_kind kind, const char *end)
{
    struct choice *choice = &match->choices[kind];
    if (!choice->is_set || choice->end == end || !takes(kind, *choice->end)) {
        choice->is_set = false;
        return false;
    }
    choice->end++;
    match->taken[choice->step].length++;
    return true;
}

/* Begins a wildcard with its shortest text. False where there is too little. */
static bool enter(const struct step *steps, uint32_t step, const char *at, const char *end,
                  struct match *match)
{
    enum step_kind kind = steps[step].kind;
    for (int narrow = STEP_DIGITS; narrow < (int)kind; narrow++) {
        match->choices[narrow].is_set = false;
    }
    match->choices[kind] = (struct choice){step, at, true};
    match->taken[step] = (struct text){at, 0};
    return steps[step].length_min == 0 || widen(match, kind, end);
}

/*
 * Looking back to the last wildcard of each kind is enough. An earlier one of the same or a
 * narrower kind given more text could only move what follows to the right, and that the later one
 * can as well.
 */
static bool run(const struct text_pattern *self, const struct step *steps, uint32_t step_count,
                struct text text, struct match *match)
{
    const char *end = text.data + text.length;
    const char *at = text.data;
    uint32_t step = 0;
    uint64_t budget = (uint64_t)TEXT_PATTERN_STEPS * (text.length + 64u);
    memset(match->choices, 0, sizeof(match->choices));
    for (; budget > 0; budget--) {
        bool fits = false;
        if (step == step_count) {
            if (at == end) {
                return true;
            }
        } else if (steps[step].kind == STEP_LITERAL) {
            fits = literal_fits(self, steps[step].literal, at, end);
            at += fits ? steps[step].literal.length : 0;
        } else {
            fits = enter(steps, step, at, end, match);
            at = match->choices[steps[step].kind].end;
        }
        if (fits) {
            step++;
            continue;
        }
        int kind = STEP_DIGITS;
        while (kind <= STEP_DEEP && !widen(match, (enum step_kind)kind, end)) {
            kind++;
        }
        if (kind > STEP_DEEP) {
            return false;
        }
        at = match->choices[kind].end;
        step = match->choices[kind].step + 1;
    }
    return false;
}

bool text_pattern_match(const struct text_pattern *pattern, struct text text, struct text *captures)
{
    struct match match;
    uint32_t step_count = pattern->step_count;
    text.data = text.data ? text.data : "";
    if (pattern->prefix.length > 0 &&
        !literal_fits(pattern, pattern->prefix, text.data, text.data + text.length)) {
        return false;
    }
    if (!run(pattern, pattern->steps, step_count, text, &match)) {
        step_count = pattern->short_step_count;
        if (step_count == 0 || !run(pattern, pattern->short_steps, step_count, text, &match)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < step_count; i++) {
        if (pattern->steps[i].kind != STEP_LITERAL && pattern->steps[i].capture >= 0) {
            captures[pattern->steps[i].capture] = match.taken[i];
        }
    }
    return true;
}
