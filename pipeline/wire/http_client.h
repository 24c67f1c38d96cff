/*
 * Requests to one HTTP(S) service that may stand at several addresses, one request at a time.
 * Blocks for at most the time-out an address. Certificates are always checked; redirects are not
 * followed, since they would carry the password elsewhere.
 */
#ifndef PIPELINE_WIRE_HTTP_CLIENT_H
#define PIPELINE_WIRE_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/status.h"
#include "pipeline/config/settings.h"

#define HTTP_ADDRESSES_MAX 8u
#define HTTP_RESPONSE_BYTES_MAX 4194304u

struct http_client_options {
    const char *service; /* In messages: "schema registry". Borrowed. */
    const char *setting; /* In messages about settings: "schema_registry". Borrowed. */
    struct text_list urls;
    const char *username;         /* NULL: no basic authentication. */
    const char *password;         /* With it. */
    const char *token;            /* NULL: none. Sent as a bearer token. */
    const char *ca_file;          /* NULL: the system's certificates. */
    const char *certificate_file; /* NULL: none. The client's own, PEM. */
    const char *key_file;         /* With it. */
    int64_t timeout_ms;           /* Of one request, connection included. */
    const char *media_type;       /* Of what is sent and accepted. */
};

struct http_response {
    long code;
    struct byte_buffer body; /* Release with byte_buffer_release(). */
};

struct http_client; /* One thread at a time. */

/*
 * Copies the options. STATUS_INVALID for an address that is not http:// or https://, or that holds
 * a password; it is not printed then. `stop` (may be NULL; outlives the client) set to true ends a
 * request at once.
 */
MUST_CHECK enum status http_client_create(const struct http_client_options *options,
                                          const atomic_bool *stop, struct http_client **ret_client,
                                          struct error *error);
void http_client_destroy(struct http_client *client); /* NULL is a no-op. */

/*
 * Sends to the address that answered last, or to the next ones in turn where it does not. `path`
 * begins with '/'. `body` NULL: GET, else POST. STATUS_OK: there is an answer of whatever code that
 * speaks of the request (2xx, 4xx). STATUS_RETRY: no address answered, or all are busy (408, 429,
 * 5xx). STATUS_INVALID: an answer that no repetition will change: 401, 403, a redirect, a
 * certificate that does not hold. The message names the address and never a secret.
 */
MUST_CHECK enum status http_client_send(struct http_client *client, const char *path,
                                        const struct byte_buffer *body,
                                        struct http_response *ret_response, struct error *error);

/* `text` with all but letters, digits and -._~ as %XX; to free(). NULL: out of memory. */
char *http_escape(const char *text);

#endif
