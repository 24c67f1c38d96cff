/* A copy of one commit, for logs that hold it for longer than the task does. */
#ifndef TEST_FAKES_KEPT_CONTENT_H
#define TEST_FAKES_KEPT_CONTENT_H

#include "pipeline/commit/commit_log.h"

struct kept_content {
    struct commit_content content; /* Points to what is below; `outputs` is NULL. */
    unsigned char *bytes;          /* Owned, of the records and payloads. */
    struct changelog_entry *records;
    struct journal_entry *journal;
    unsigned char *lines[TOPIC_COUNT]; /* Owned. The outputs, each with a line end behind it. */
    uint64_t line_bytes[TOPIC_COUNT];
    uint64_t line_count[TOPIC_COUNT];
    bool is_held;
};

/* Memory that runs out is asserted. A zeroed one holds nothing. */
void kept_content_take(struct kept_content *kept, const struct commit_content *content);
void kept_content_release(struct kept_content *kept);

#endif
