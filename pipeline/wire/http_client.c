#include "pipeline/wire/http_client.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#define URL_BYTES_MAX 4096
/* Of an error's own words, in our message. */
#define DETAIL_BYTES_MAX 160

struct http_client {
    CURL *curl;
    struct curl_slist *headers;
    char *urls[HTTP_ADDRESSES_MAX]; /* Without a slash at the end. */
    uint32_t url_count;
    uint32_t current; /* The address that answered last. */
    const char *service;
    const atomic_bool *stop;
    char problem[CURL_ERROR_SIZE];
};

static CURLcode library_status;

static void start_library(void)
{
    library_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum status keep_url(struct http_client *client, const struct http_client_options *options,
                            const char *url, struct error *error)
{
    const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
                       : strncmp(url, "http://", 7) == 0 ? url + 7
                                                         : NULL;
    size_t length = strlen(url);
    if (strcspn(url, "@") < length) {
        /* Not printed: it is likely to hold a password. */
        return error_set(error, STATUS_INVALID,
                         "%s.url: an address with user and password; give %s.username and "
                         "password_file or password_env",
                         options->setting, options->setting);
    }
    if (!host || strcspn(host, "/") == 0 || strcspn(url, "?# \t") < length) {
        return error_set(error, STATUS_INVALID,
                         "%s.url: \"%s\": expected http://HOST:PORT or https://HOST:PORT",
                         options->setting, url);
    }
    if (client->url_count == HTTP_ADDRESSES_MAX || length >= URL_BYTES_MAX / 2) {
        return error_set(error, STATUS_INVALID, "%s.url: at most %u addresses of %d bytes",
                         options->setting, HTTP_ADDRESSES_MAX, URL_BYTES_MAX / 2);
    }
    while (length > 0 && url[length - 1] == '/') {
        length--;
    }
    char *copy = strndup(url, length);
    if (!copy) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->service);
    }
    client->urls[client->url_count++] = copy;
    return STATUS_OK;
}

static size_t receive(char *bytes, size_t size, size_t count, void *context)
{
    struct byte_buffer *body = context;
    byte_buffer_append(body, bytes, size * count);
    return body->has_failed ? 0 : size * count;
}

/* Called by libcurl about once a second and whenever something moves. */
static int look_at_stop(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    const struct http_client *client = context;
    return client->stop && atomic_load(client->stop);
}

static bool add_header(struct http_client *client, const char *name, const char *value)
{
    size_t bytes = strlen(name) + strlen(value) + 1;
    char *line = malloc(bytes);
    if (!line) {
        return false;
    }
    (void)snprintf(line, bytes, "%s%s", name, value);
    struct curl_slist *longer = curl_slist_append(client->headers, line);
    memset(line, 0, bytes);
    free(line);
    if (longer) {
        client->headers = longer;
    }
    return longer != NULL;
}

static bool set_authentication(struct http_client *client,
                               const struct http_client_options *options)
{
    CURL *curl = client->curl;
    bool is_set = true;
    if (options->username) {
        is_set = curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
                 curl_easy_setopt(curl, CURLOPT_USERNAME, options->username) == CURLE_OK &&
                 curl_easy_setopt(curl, CURLOPT_PASSWORD,
                                  options->password ? options->password : "") == CURLE_OK;
    } else if (options->token) {
        is_set = add_header(client, "Authorization: Bearer ", options->token);
    }
    if (is_set && options->ca_file) {
        is_set = curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file) == CURLE_OK;
    }
    if (is_set && options->certificate_file) {
        is_set = curl_easy_setopt(curl, CURLOPT_SSLCERT, options->certificate_file) == CURLE_OK &&
                 curl_easy_setopt(curl, CURLOPT_SSLKEY, options->key_file) == CURLE_OK;
    }
    return is_set;
}

static bool set_options(struct http_client *client, const struct http_client_options *options)
{
    CURL *curl = client->curl;
    return add_header(client, "Accept: ", options->media_type) &&
           add_header(client, "Content-Type: ", options->media_type) &&
           add_header(client, "Expect:", "") && set_authentication(client, options) &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           /* Proxies of the environment would see what is for the service alone. */
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->timeout_ms) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->problem) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_at_stop) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK;
}

static enum status check_options(const struct http_client_options *options, struct error *error)
{
    const char *setting = options->setting;
    if (options->urls.count == 0) {
        return error_set(error, STATUS_INVALID, "%s.url: an address expected", setting);
    }
    if (options->username && options->token) {
        return error_set(error, STATUS_INVALID, "%s: a username and a token; only one is sent",
                         setting);
    }
    if (options->username && strchr(options->username, ':')) {
        return error_set(error, STATUS_INVALID, "%s.username: no colon expected", setting);
    }
    if (options->password && !options->username) {
        return error_set(error, STATUS_INVALID, "%s.username: expected with a password", setting);
    }
    if (!options->certificate_file != !options->key_file) {
        return error_set(error, STATUS_INVALID, "%s: certificate_file and key_file belong together",
                         setting);
    }
    return STATUS_OK;
}

enum status http_client_create(const struct http_client_options *options, const atomic_bool *stop,
                               struct http_client **ret_client, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_library);
    enum status status = check_options(options, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct http_client *client = calloc(1, sizeof(*client));
    if (!client) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->service);
    }
    client->service = options->service;
    client->stop = stop;
    for (size_t i = 0; status == STATUS_OK && i < options->urls.count; i++) {
        status = keep_url(client, options, options->urls.items[i], error);
    }
    if (status == STATUS_OK) {
        client->curl = library_status == CURLE_OK ? curl_easy_init() : NULL;
        if (!client->curl || !set_options(client, options)) {
            status =
                error_set(error, STATUS_FATAL, "%s: libcurl cannot be set up", options->service);
        }
    }
    if (status != STATUS_OK) {
        http_client_destroy(client);
        return status;
    }
    *ret_client = client;
    return STATUS_OK;
}

void http_client_destroy(struct http_client *client)
{
    if (!client) {
        return;
    }
    curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    for (uint32_t i = 0; i < client->url_count; i++) {
        free(client->urls[i]);
    }
    free(client);
}

static bool is_certificate_problem(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR;
}

/* What the address said, made printable and cut. */
static void describe_body(const struct byte_buffer *body, char *ret_text)
{
    size_t length = body->length < DETAIL_BYTES_MAX - 1 ? body->length : DETAIL_BYTES_MAX - 1;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = body->bytes[i];
        ret_text[i] = (char)(byte < 0x20 || byte > 0x7e ? ' ' : byte);
    }
    ret_text[length] = '\0';
}

static enum status judge(const struct http_client *client, const char *url, CURLcode code,
                         const struct http_response *response, struct error *error)
{
    if (code != CURLE_OK) {
        const char *why = response->body.has_failed ? "the answer is too long"
                          : *client->problem        ? client->problem
                                                    : curl_easy_strerror(code);
        bool is_lasting = is_certificate_problem(code);
        return error_set(error, is_lasting ? STATUS_INVALID : STATUS_RETRY, "%s %s: %s%s",
                         client->service, url, is_lasting ? "its certificate does not hold: " : "",
                         why);
    }
    char detail[DETAIL_BYTES_MAX];
    describe_body(&response->body, detail);
    if (response->code == 401 || response->code == 403) {
        return error_set(error, STATUS_INVALID,
                         "%s %s: refused with %ld: check username, password or token (%s)",
                         client->service, url, response->code, detail);
    }
    if (response->code == 408 || response->code == 429 || response->code >= 500) {
        return error_set(error, STATUS_RETRY, "%s %s: answered %ld %s", client->service, url,
                         response->code, detail);
    }
    if (response->code < 200 || (response->code >= 300 && response->code < 400)) {
        return error_set(error, STATUS_INVALID, "%s %s: answered %ld, a redirect is not followed",
                         client->service, url, response->code);
    }
    return STATUS_OK;
}

static enum status send_to(struct http_client *client, const char *base, const char *path,
                           const struct byte_buffer *body, struct http_response *response,
                           struct error *error)
{
    char url[URL_BYTES_MAX];
    int length = snprintf(url, sizeof(url), "%s%s", base, path);
    if (length < 0 || length >= URL_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "%s %s: the address of the request is too long",
                         client->service, base);
    }
    response->body.length = 0;
    response->code = 0;
    *client->problem = '\0';
    CURL *curl = client->curl;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(curl, CURLOPT_WRITEDATA, &response->body);
    }
    if (code == CURLE_OK && body) {
        code = curl_easy_setopt(curl, CURLOPT_POST, 1L);
        if (code == CURLE_OK) {
            code = curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->length);
        }
        if (code == CURLE_OK) {
            code = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->bytes);
        }
    } else if (code == CURLE_OK) {
        code = curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    if (code == CURLE_OK) {
        code = curl_easy_perform(curl);
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response->code);
    return judge(client, base, code, response, error);
}

/*
 * A TLS library writes to connections that the other side has closed, which would end the process
 * by SIGPIPE. The signal goes to the thread that writes, so it is enough to hold it off here.
 */
struct pipe_guard {
    sigset_t before;
    bool was_pending;
};

static void hold_pipe_signal(struct pipe_guard *guard)
{
    sigset_t pipe_only;
    sigset_t pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigpending(&pending);
    guard->was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &guard->before);
}

static void release_pipe_signal(const struct pipe_guard *guard)
{
    sigset_t pipe_only;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    const struct timespec at_once = {0};
    while (!guard->was_pending && sigtimedwait(&pipe_only, NULL, &at_once) == SIGPIPE) {
    }
    (void)pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

enum status http_client_send(struct http_client *client, const char *path,
                             const struct byte_buffer *body, struct http_response *ret_response,
                             struct error *error)
{
    struct http_response response = {.body = {.bytes_max = HTTP_RESPONSE_BYTES_MAX}};
    enum status status = STATUS_RETRY;
    struct pipe_guard guard;
    hold_pipe_signal(&guard);
    for (uint32_t i = 0; i < client->url_count; i++) {
        uint32_t at = (client->current + i) % client->url_count;
        byte_buffer_release(&response.body);
        status = send_to(client, client->urls[at], path, body, &response, error);
        if (status != STATUS_RETRY) {
            client->current = at;
            break;
        }
    }
    release_pipe_signal(&guard);
    if (status != STATUS_OK) {
        byte_buffer_release(&response.body);
        return status;
    }
    *ret_response = response;
    return STATUS_OK;
}

char *http_escape(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *escaped = malloc(3 * strlen(text) + 1);
    if (!escaped) {
        return NULL;
    }
    char *to = escaped;
    for (const char *from = text; *from; from++) {
        unsigned char byte = (unsigned char)*from;
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= '0' && byte <= '9') || strchr("-._~", byte);
        if (is_plain) {
            *to++ = *from;
        } else {
            *to++ = '%';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
        }
    }
    *to = '\0';
    return escaped;
}
