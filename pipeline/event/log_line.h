/*
 * One line of an access log in the combined format of Apache httpd and nginx:
 *
 *   ADDRESS IDENT USER [TIME] "METHOD TARGET PROTOCOL" STATUS BYTES "REFERRER" "USER AGENT" ...
 *
 * The common format, which ends after BYTES, is read as well; what follows the user agent are extra
 * fields, quoted or not. Usual additions are known: HOST or HOST:PORT before the address (Apache's
 * vhost_combined) or what syslog puts there, told by an internet address further on; and proxies'
 * addresses behind the client's with commas between them (X-Forwarded-For). Found in place;
 * unescaped by whoever wants a text.
 */
#ifndef PIPELINE_EVENT_LOG_LINE_H
#define PIPELINE_EVENT_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/base/text.h"

#define LOG_EXTRAS_MAX 16u

struct log_line {
    struct text virtual_host; /* Without its port; empty where the line has none. */
    struct text address;      /* The client's. */
    struct text user;
    struct text time; /* Without its brackets. */
    struct text request;
    struct text status;
    struct text bytes;
    struct text referrer;
    struct text user_agent;
    struct text extras[LOG_EXTRAS_MAX];
    uint32_t extra_count;
};

/* False: *ret_expected says what was expected at byte *ret_offset. */
bool log_line_parse(struct text line, struct log_line *ret_line, const char **ret_expected,
                    size_t *ret_offset);

/* Splits "GET /a HTTP/1.1"; all empty where it is no request at all. */
void log_request_split(struct text request, struct text *ret_method, struct text *ret_target);

/*
 * The target's path, without scheme and host of an absolute one, and what follows the question
 * mark, both still percent-encoded.
 */
void log_target_split(struct text target, struct text *ret_path, struct text *ret_query);

/* Undo the server's escapes (\xHH, \", \\, \n ...); `out` has room for the text. */
size_t log_unescape(struct text text, char *out);

/* Undo percent-encoding (RFC 3986), `plus_is_space` as in forms; what is malformed stays. */
size_t percent_decode(struct text text, bool plus_is_space, char *out);

#endif
