/* One line an occurrence on standard error: level, event and key=value pairs. Thread-safe. */
#ifndef PIPELINE_BASE_LOG_H
#define PIPELINE_BASE_LOG_H

enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };

/* `event` is a word; `format` gives the pairs, such as "partition=%s records=%u". */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
