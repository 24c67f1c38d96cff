/* Parts of web addresses and cookie headers, with percent-encoding taken off (RFC 3986). */
#ifndef PIPELINE_BASE_URL_TEXT_H
#define PIPELINE_BASE_URL_TEXT_H

#include <stdbool.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/text.h"

enum url_part {
    URL_HOST,   /* Lower case, without port and user. */
    URL_PATH,   /* "/" where there is none; an encoded slash stays encoded. */
    URL_QUERY,  /* One parameter of the query; a text without path and ? is a query on its own. */
    URL_COOKIE, /* One value of a Cookie header. */
};

/*
 * Sets `ret_part` to the part, of length 0 where it is missing; it is part of `text` or stands in
 * `arena`. `name` is the parameter or cookie. False when memory is exhausted.
 */
bool url_part(struct text text, enum url_part part, struct text name, struct arena *arena,
              struct text *ret_part);

/*
 * Takes percent-encoding off (and, in a query, + for a space). What would be no UTF-8, and encoded
 * control characters, stay as they are. False when memory is exhausted.
 */
bool url_decode(struct text text, bool is_query, struct arena *arena, struct text *ret_text);

#endif
