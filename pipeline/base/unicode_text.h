/*
 * UTF-8 text made comparable: validated, trimmed and brought into normal form C (Unicode Standard
 * Annex #15, by utf8proc). Plain ASCII takes a short way through all of it.
 */
#ifndef PIPELINE_BASE_UNICODE_TEXT_H
#define PIPELINE_BASE_UNICODE_TEXT_H

#include <stdbool.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/text.h"

enum unicode_form {
    UNICODE_AS_WRITTEN, /* Addresses and other text that nobody compares. */
    UNICODE_NFC,
};

enum unicode_result { UNICODE_OK, UNICODE_INVALID, UNICODE_NO_MEMORY };

/* As RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool text_is_utf8(struct text text);

/* Without white space (Unicode's White_Space) and byte order marks at both ends. Takes UTF-8. */
struct text text_trim(struct text text);

/*
 * Validates, trims and normalises. `ret_text` is part of `text` where nothing had to change, else
 * it stands in `arena`. Cleaning what was cleaned changes nothing. `ret_text` is set on success
 * only.
 */
enum unicode_result text_clean(struct text text, enum unicode_form form, struct arena *arena,
                               struct text *ret_text);

#endif
