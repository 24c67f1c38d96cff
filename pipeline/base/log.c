#include "pipeline/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    static const char *const names[] = {"info", "warning", "error"};
    char line[2048];
    time_t now = time(NULL);
    struct tm parts;
    char stamp[32];
    (void)gmtime_r(&now, &parts);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &parts);
    int length = snprintf(line, sizeof(line), "%s %s %s ", stamp, names[level], event);
    if (length > 0 && (size_t)length < sizeof(line)) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(line + length, sizeof(line) - (size_t)length, format, arguments);
        va_end(arguments);
    }
    /* One call a line, so that lines of two threads do not mix. */
    (void)fprintf(stderr, "%s\n", line);
}
