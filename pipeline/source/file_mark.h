/* What files begin with that are given as text: a byte order mark, or a sign that they are no text.
 */
#ifndef PIPELINE_SOURCE_FILE_MARK_H
#define PIPELINE_SOURCE_FILE_MARK_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/base/text.h"

struct file_mark {
    struct text bytes;
    const char *what;     /* What the file is, "a zip archive"; NULL: text, behind the mark. */
    const char *expected; /* What whoever gave it is told to give; NULL likewise. */
};

/* The mark that a file with these first bytes begins with, or NULL. */
const struct file_mark *file_mark_find(const char *data, size_t length);

/* More bytes are needed to tell. */
bool file_mark_may_follow(const char *data, size_t length);

#endif
