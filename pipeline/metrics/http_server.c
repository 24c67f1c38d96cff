#include "pipeline/metrics/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#define HOST_BYTES_MAX 128
#define PORT_BYTES_MAX 8
#define BACKLOG 16
#define REQUEST_BYTES_MAX 16384u

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_server_options options;
    uint16_t port;
};

static enum MHD_Result send_body(struct MHD_Connection *connection, unsigned code,
                                 const char *content_type, void *bytes, size_t length,
                                 enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, bytes, mode);
    if (!response) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_words(struct MHD_Connection *connection, unsigned code,
                                  const char *words)
{
    return send_body(connection, code, "text/plain; charset=utf-8", (void *)(uintptr_t)words,
                     strlen(words), MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_route(struct MHD_Connection *connection, const struct http_route *route,
                                  void *context)
{
    struct byte_buffer body = {0};
    unsigned code = route->answer(context, &body);
    if (body.has_failed) {
        byte_buffer_release(&body);
        return send_words(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    }
    if (!body.bytes) {
        return send_words(connection, code, "");
    }
    /* Owned by the response, also where it could not be made. */
    return send_body(connection, code, route->content_type, body.bytes, body.length,
                     MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **request)
{
    (void)version;
    (void)upload;
    struct http_server *server = context;
    static const char headers_seen;
    if (!*request) {
        /* Called first with the headers alone; an answer is due only once the body is through. */
        *request = (void *)(uintptr_t)&headers_seen;
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0; /* Thrown away. */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return send_words(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    }
    for (uint32_t i = 0; i < server->options.route_count; i++) {
        if (strcmp(url, server->options.routes[i].path) == 0) {
            return send_route(connection, &server->options.routes[i], server->options.context);
        }
    }
    return send_words(connection, MHD_HTTP_NOT_FOUND, "not found\n");
}

/* Parts "HOST:PORT" or "[HOST]:PORT". */
static bool split_listen(const char *listen, char ret_host[HOST_BYTES_MAX],
                         char ret_port[PORT_BYTES_MAX])
{
    const char *host = listen;
    const char *colon = strrchr(listen, ':');
    size_t length = colon ? (size_t)(colon - listen) : 0;
    bool is_bracketed = length > 2 && *host == '[' && host[length - 1] == ']';
    if (is_bracketed) {
        host++;
        length -= 2;
    }
    if (!colon || length == 0 || length >= HOST_BYTES_MAX ||
        (!is_bracketed && memchr(host, ':', length))) {
        return false;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0') {
        return false;
    }
    memcpy(ret_host, host, length);
    ret_host[length] = '\0';
    memcpy(ret_port, colon + 1, digits + 1);
    return strtol(ret_port, NULL, 10) <= UINT16_MAX;
}

static enum status open_socket(const struct http_server_options *options, int *ret_socket,
                               struct error *error)
{
    char host[HOST_BYTES_MAX];
    char port[PORT_BYTES_MAX];
    struct addrinfo wanted = {.ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    bool is_parted = split_listen(options->listen, host, port);
    if (is_parted && strcmp(host, "localhost") == 0) {
        (void)snprintf(host, sizeof(host), "127.0.0.1");
    }
    if (!is_parted || getaddrinfo(host, port, &wanted, &found) != 0) {
        return error_set(error, STATUS_INVALID,
                         "%s: \"%s\": expected an address and a port, such as 127.0.0.1:9464",
                         options->setting, options->listen);
    }
    int opened = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    int on = 1;
    bool is_open =
        opened >= 0 && setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(opened, found->ai_addr, found->ai_addrlen) == 0 && listen(opened, BACKLOG) == 0;
    int cause = errno;
    freeaddrinfo(found);
    if (!is_open) {
        if (opened >= 0) {
            (void)close(opened);
        }
        return error_set(error, STATUS_INVALID, "%s: %s: %s", options->setting, options->listen,
                         strerror(cause));
    }
    *ret_socket = opened;
    return STATUS_OK;
}

static uint16_t port_of(int opened)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    char port[PORT_BYTES_MAX];
    if (getsockname(opened, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof(port),
                    NI_NUMERICSERV) != 0) {
        return 0;
    }
    return (uint16_t)strtol(port, NULL, 10);
}

enum status http_server_start(const struct http_server_options *options,
                              struct http_server **ret_server, struct error *error)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->setting);
    }
    server->options = *options;
    int opened = -1;
    enum status status = open_socket(options, &opened, error);
    if (status == STATUS_OK) {
        server->port = port_of(opened);
        /* The library closes the socket, when it stops and when it fails. */
        server->daemon = MHD_start_daemon(
            MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, handle, server, MHD_OPTION_LISTEN_SOCKET,
            opened, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
            MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_SECONDS_MAX,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES_MAX, MHD_OPTION_END);
        if (!server->daemon) {
            status = error_set(error, STATUS_FATAL, "%s: %s: the server cannot be started",
                               options->setting, options->listen);
        }
    }
    if (status != STATUS_OK) {
        free(server);
        return status;
    }
    *ret_server = server;
    return STATUS_OK;
}

void http_server_stop(struct http_server *server)
{
    if (server) {
        MHD_stop_daemon(server->daemon);
        free(server);
    }
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}
