/* Where text is valid UTF-8 and where it is not. */
#ifndef PIPELINE_BASE_UTF8_H
#define PIPELINE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/*
 * Looks at the sequence that starts at `bytes`, of which `length` > 0 bytes are there. Returns its
 * length and sets `ret_is_valid`; for an invalid one the length is that of the longest start of a
 * valid sequence, at least 1, which one U+FFFD stands for (Unicode 15, chapter 3, table 3-8).
 */
uint32_t utf8_sequence(const char *bytes, size_t length, bool *ret_is_valid);

/* Length of the longest start of `bytes` that is ASCII. */
size_t utf8_ascii_length(const char *bytes, size_t length);

#endif
