/*
 * Answers GET requests of a few fixed paths, by libmicrohttpd, on a thread of its own. Whoever can
 * reach the address may read: there is no authentication, so it belongs on loopback or behind a
 * proxy.
 */
#ifndef PIPELINE_METRICS_HTTP_SERVER_H
#define PIPELINE_METRICS_HTTP_SERVER_H

#include <stdint.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/status.h"

#define HTTP_CONNECTIONS_MAX 32u
#define HTTP_IDLE_SECONDS_MAX 10u

struct http_route {
    const char *path;
    const char *content_type;
    /* Writes the body and returns the status code. Called by the server's thread. */
    unsigned (*answer)(void *context, struct byte_buffer *body);
};

struct http_server_options {
    const char *listen;              /* ADDRESS:PORT, [ADDRESS]:PORT or localhost:PORT. */
    const char *setting;             /* Its name, for messages. */
    const struct http_route *routes; /* Borrowed, as is their context. */
    uint32_t route_count;
    void *context;
};

struct http_server;

/* STATUS_INVALID, naming the setting and why: not an address, or taken, or not of this machine. */
MUST_CHECK enum status http_server_start(const struct http_server_options *options,
                                         struct http_server **ret_server, struct error *error);

/* Waits for the answers on their way. NULL is a no-op. */
void http_server_stop(struct http_server *server);

/* The port that it listens on: where port 0 was asked for, one that was free. */
uint16_t http_server_port(const struct http_server *server);

#endif
