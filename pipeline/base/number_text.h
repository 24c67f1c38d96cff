/*
 * Numbers as text. The text of a floating-point number is the shortest that reads back as the same
 * number (Adams, Ryu: fast float-to-string conversion, 2018, as in the C++ library's to_chars),
 * laid out as 0.001 or 1e-05: plain from 1e-4 up to 1e16, with an exponent elsewhere. It depends on
 * neither locale nor machine.
 */
#ifndef PIPELINE_BASE_NUMBER_TEXT_H
#define PIPELINE_BASE_NUMBER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NUMBER_TEXT_BYTES_MAX 32 /* Room that each function needs. */

/* Each writes to `text`, adds no terminator, and returns the length. Not for NaN or infinity. */
size_t number_text_long(int64_t value, char *text);
size_t number_text_double(double value, char *text);
size_t number_text_float(float value, char *text);

/* The nearest double of decimal text; beyond the range infinity or zero, NaN where it is none. */
double number_text_read_double(const char *text, size_t length);

/* True where the whole text is an integer that fits. */
bool number_text_read_long(const char *text, size_t length, int64_t *ret_value);

#ifdef __cplusplus
}
#endif

#endif
