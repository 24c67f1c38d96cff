#include "pipeline/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_format(struct error *error, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, arguments);
        va_end(arguments);
    }
}

enum status error_prefix(struct error *error, enum status status, const char *format, ...)
{
    if (error) {
        char cause[sizeof(error->message)];
        memcpy(cause, error->message, sizeof(cause));
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(error->message, sizeof(error->message), format, arguments);
        va_end(arguments);
        if (length >= 0 && (size_t)length < sizeof(error->message)) {
            if (strncmp(cause, error->message, (size_t)length) == 0 && cause[length] == ':') {
                memcpy(error->message, cause, sizeof(cause));
                return status;
            }
            size_t room = sizeof(error->message) - (size_t)length;
            /* A cause too long for the room left is cut: the prefix says where to look. */
            (void)snprintf(error->message + length, room, ": %.*s", (int)room, cause);
        }
    }
    return status;
}
