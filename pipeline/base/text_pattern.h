/*
 * A small pattern language for paths, words and whole texts, compiled once:
 *
 *   *           any characters but /, also none
 *   **          any characters, also none; a pattern's last "/" and "**" together may be missing
 *   {name}      captures one or more characters but /
 *   {name:**}   captures one or more characters of any kind
 *   {name:digits}
 *   {}          a capture without a name
 *   \           takes the next character as it is
 *
 * A pattern fits the whole text or not at all. Each wildcard takes as little as it can. Matching
 * takes at most TEXT_PATTERN_STEPS steps a byte; what needs more does not match.
 */
#ifndef PIPELINE_BASE_TEXT_PATTERN_H
#define PIPELINE_BASE_TEXT_PATTERN_H

#include <stdbool.h>

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"

#define TEXT_PATTERN_CAPTURES_MAX 8u
#define TEXT_PATTERN_NAME_BYTES 32u /* With the terminating zero. */
#define TEXT_PATTERN_STEPS 64u

/* Names of captures, shared by the patterns of one rule: equal names are one capture. */
struct capture_names {
    char names[TEXT_PATTERN_CAPTURES_MAX][TEXT_PATTERN_NAME_BYTES];
    uint32_t count;
};

/* Index of the capture of that name, or -1. */
int capture_find(const struct capture_names *names, struct text name);

struct text_pattern;

/* Adds its captures to `names`. STATUS_INVALID with what is wrong in the pattern. */
MUST_CHECK enum status text_pattern_compile(const char *pattern, bool ignores_case,
                                            struct capture_names *names,
                                            struct text_pattern **ret_pattern, struct error *error);
void text_pattern_destroy(struct text_pattern *pattern); /* NULL is a no-op. */

/*
 * Where it matches, sets the captures that the pattern has (parts of `text`) and leaves the others.
 * `captures` has TEXT_PATTERN_CAPTURES_MAX elements. Case is ignored for ASCII letters only.
 */
bool text_pattern_match(const struct text_pattern *pattern, struct text text,
                        struct text *captures);

#endif
