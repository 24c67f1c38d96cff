#include "pipeline/event/log_line.h"

#include <arpa/inet.h>
#include <string.h>

struct scanner {
    const char *start;
    const char *next;
    const char *end;
    const char *expected; /* What was missing, once something was. */
};

static struct text between(const char *start, const char *end)
{
    return (struct text){start, (uint32_t)(end - start)};
}

static bool fail(struct scanner *scanner, const char *expected)
{
    scanner->expected = expected;
    return false;
}

/* Up to the next space, which is passed over; not empty. */
static bool scan_word(struct scanner *scanner, const char *what, struct text *ret_word)
{
    const char *start = scanner->next;
    const char *at = start;
    while (at < scanner->end && *at != ' ') {
        at++;
    }
    if (at == start) {
        return fail(scanner, what);
    }
    *ret_word = between(start, at);
    scanner->next = at < scanner->end ? at + 1 : at;
    return true;
}

static bool ends_in_comma(struct text word)
{
    return word.data[word.length - 1] == ',';
}

/* An address, or several with commas and spaces between them: the first. */
static bool scan_address(struct scanner *scanner, struct text *ret_address)
{
    struct text word;
    if (!scan_word(scanner, "an address", &word)) {
        return false;
    }
    *ret_address = word;
    while (ends_in_comma(word)) {
        if (!scan_word(scanner, "an address after the comma", &word)) {
            return false;
        }
    }
    const char *comma = memchr(ret_address->data, ',', ret_address->length);
    if (comma) {
        ret_address->length = (uint32_t)(comma - ret_address->data);
    }
    return ret_address->length > 0 || fail(scanner, "an address");
}

/* An address of version 4 or 6, with or without a comma behind it. */
static bool is_internet_address(struct text word)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in6_addr address;
    if (word.length >= sizeof(text)) {
        return false;
    }
    memcpy(text, word.data, word.length);
    text[word.length - ends_in_comma(word)] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* Without the port; the colons in brackets are those of an address. */
static struct text without_port(struct text host)
{
    for (const char *at = host.data + host.length; at > host.data && at[-1] != ']'; at--) {
        if (at[-1] == ':') {
            return between(host.data, at - 1);
        }
    }
    return host;
}

#define PREFIX_WORDS_MAX 16u

static void skip_spaces(struct scanner *scanner)
{
    while (scanner->next < scanner->end && *scanner->next == ' ') {
        scanner->next++;
    }
}

/*
 * What stands before the client's address, a host's name or what syslog writes, told by an address
 * further on that has IDENT and USER behind it; the last such one. Without that it stays where it
 * is.
 */
static void skip_prefix(struct scanner *scanner, struct log_line *line)
{
    struct scanner ahead = *scanner;
    struct text words[PREFIX_WORDS_MAX];
    uint32_t count = 0;
    while (count < PREFIX_WORDS_MAX && scan_word(&ahead, "", &words[count])) {
        if (count++ == 0 && is_internet_address(words[0])) {
            return;
        }
        skip_spaces(&ahead);
        if (ahead.next < ahead.end && *ahead.next == '[') {
            break;
        }
    }
    for (uint32_t at = count < 3 ? 0 : count - 3; at > 0; at--) {
        if (is_internet_address(words[at]) && !ends_in_comma(words[at - 1])) {
            line->virtual_host = at == 1 ? without_port(words[0]) : line->virtual_host;
            scanner->next = words[at].data;
            return;
        }
    }
}

/* A user's name may hold spaces; the time's bracket ends it. */
static bool scan_user(struct scanner *scanner, struct text *ret_user)
{
    for (const char *at = scanner->next; at + 1 < scanner->end; at++) {
        if (at[0] == ' ' && at[1] == '[') {
            *ret_user = between(scanner->next, at);
            scanner->next = at + 1;
            return true;
        }
    }
    return fail(scanner, "a user and a time in brackets");
}

static bool scan_time(struct scanner *scanner, struct text *ret_time)
{
    const char *start = scanner->next + 1;
    const char *close = memchr(start, ']', (size_t)(scanner->end - start));
    if (!close || close + 1 >= scanner->end || close[1] != ' ') {
        return fail(scanner, "a time in brackets");
    }
    *ret_time = between(start, close);
    scanner->next = close + 2;
    return true;
}

/* The first quote behind an even number of backslashes, or NULL. */
static const char *find_closing_quote(const char *start, const char *end)
{
    const char *from = start;
    for (;;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (!quote) {
            return NULL;
        }
        const char *plain = quote;
        while (plain > start && plain[-1] == '\\') {
            plain--;
        }
        if ((quote - plain) % 2 == 0) {
            return quote;
        }
        from = quote + 1;
    }
}

/* Text in quotes; a backslash takes the next character along. */
static bool scan_quoted(struct scanner *scanner, const char *what, struct text *ret_text)
{
    if (scanner->next == scanner->end || *scanner->next != '"') {
        return fail(scanner, what);
    }
    const char *start = scanner->next + 1;
    const char *at = find_closing_quote(start, scanner->end);
    if (!at || (at + 1 < scanner->end && at[1] != ' ')) {
        return fail(scanner, what);
    }
    *ret_text = between(start, at);
    scanner->next = at + 1 < scanner->end ? at + 2 : at + 1;
    return true;
}

static bool scan_extras(struct scanner *scanner, struct log_line *line)
{
    for (skip_spaces(scanner); scanner->next < scanner->end && line->extra_count < LOG_EXTRAS_MAX;
         skip_spaces(scanner)) {
        struct text *extra = &line->extras[line->extra_count];
        if (*scanner->next == '"' ? !scan_quoted(scanner, "a quoted field", extra)
                                  : !scan_word(scanner, "a field", extra)) {
            return false;
        }
        line->extra_count++;
    }
    return true;
}

static bool scan_line(struct scanner *scanner, struct log_line *line)
{
    struct text identity;
    skip_prefix(scanner, line);
    return scan_address(scanner, &line->address) &&
           scan_word(scanner, "an identity or -", &identity) && scan_user(scanner, &line->user) &&
           scan_time(scanner, &line->time) &&
           scan_quoted(scanner, "a quoted request", &line->request) &&
           scan_word(scanner, "a status", &line->status) &&
           scan_word(scanner, "a number of bytes or -", &line->bytes) &&
           (scanner->next == scanner->end ||
            (scan_quoted(scanner, "a quoted referrer", &line->referrer) &&
             scan_quoted(scanner, "a quoted user agent", &line->user_agent) &&
             scan_extras(scanner, line)));
}

bool log_line_parse(struct text line, struct log_line *ret_line, const char **ret_expected,
                    size_t *ret_offset)
{
    const char *data = line.length > 0 ? line.data : "";
    struct scanner scanner = {data, data, data + line.length, NULL};
    *ret_line = (struct log_line){.extra_count = 0};
    if (scan_line(&scanner, ret_line)) {
        return true;
    }
    *ret_expected = scanner.expected;
    *ret_offset = (size_t)(scanner.next - scanner.start);
    return false;
}

void log_request_split(struct text request, struct text *ret_method, struct text *ret_target)
{
    *ret_method = (struct text){NULL, 0};
    *ret_target = (struct text){NULL, 0};
    const char *space = request.length > 0 ? memchr(request.data, ' ', request.length) : NULL;
    if (!space || space == request.data) {
        return;
    }
    for (const char *at = request.data; at < space; at++) {
        if (!((*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z') || *at == '-')) {
            return; /* A TLS handshake or the like. */
        }
    }
    const char *start = space + 1;
    const char *end = request.data + request.length;
    for (const char *at = end; at > start; at--) {
        if (*(at - 1) == ' ') {
            if (end - at >= 5 && memcmp(at, "HTTP/", 5) == 0) {
                end = at - 1;
            }
            break;
        }
    }
    *ret_method = between(request.data, space);
    *ret_target = between(start, end);
}

/* Behind "http://host", which a proxy's client writes before the path. */
static const char *skip_host(const char *start, const char *end)
{
    size_t length = (size_t)(end - start);
    const char *host = NULL;
    if (length > 7 && memcmp(start, "http://", 7) == 0) {
        host = start + 7;
    } else if (length > 8 && memcmp(start, "https://", 8) == 0) {
        host = start + 8;
    }
    if (!host) {
        return start;
    }
    const char *slash = memchr(host, '/', (size_t)(end - host));
    return slash ? slash : end;
}

void log_target_split(struct text target, struct text *ret_path, struct text *ret_query)
{
    *ret_path = (struct text){NULL, 0};
    *ret_query = (struct text){NULL, 0};
    if (target.length == 0) {
        return;
    }
    const char *end = target.data + target.length;
    const char *fragment = memchr(target.data, '#', target.length);
    end = fragment ? fragment : end;
    const char *start = skip_host(target.data, end);
    const char *mark = memchr(start, '?', (size_t)(end - start));
    *ret_path = between(start, mark ? mark : end);
    if (mark) {
        *ret_query = between(mark + 1, end);
    }
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that two hexadecimal digits at `at` stand for, or -1. */
static int byte_of(const char *at, const char *end)
{
    if (end - at < 2) {
        return -1;
    }
    int high = digit_of(at[0]);
    int low = digit_of(at[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

size_t percent_decode(struct text text, bool plus_is_space, char *out)
{
    size_t length = 0;
    const char *end = text.data + text.length;
    for (const char *at = text.data; at < end; at++) {
        int byte = *at == '%' ? byte_of(at + 1, end) : -1;
        if (byte >= 0) {
            out[length++] = (char)byte;
            at += 2;
        } else {
            out[length++] = *at;
            if (plus_is_space && *at == '+') {
                out[length - 1] = ' ';
            }
        }
    }
    return length;
}

size_t log_unescape(struct text text, char *out)
{
    static const char letters[] = "nrtvbf";
    static const char meanings[] = "\n\r\t\v\b\f";
    size_t length = 0;
    const char *end = text.data + text.length;
    for (const char *at = text.data; at < end; at++) {
        if (*at != '\\' || at + 1 == end) {
            out[length++] = *at;
            continue;
        }
        at++;
        int byte = *at == 'x' ? byte_of(at + 1, end) : -1;
        const char *letter = memchr(letters, *at, sizeof(letters) - 1);
        if (byte >= 0) {
            out[length++] = (char)byte;
            at += 2;
        } else if (letter) {
            out[length++] = meanings[letter - letters];
        } else {
            out[length++] = *at;
        }
    }
    return length;
}
