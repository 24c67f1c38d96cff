#include "pipeline/source/file_mark.h"

static const struct file_mark marks[] = {
    {{"\xef\xbb\xbf", 3}, NULL, NULL},
    {{"Obj\x01", 4}, "an Avro container", "input.format avro, or text"},
    {{"\xff\xfe", 2}, "text in UTF-16", "UTF-8: iconv -f UTF-16 -t UTF-8"},
    {{"\xfe\xff", 2}, "text in UTF-16", "UTF-8: iconv -f UTF-16 -t UTF-8"},
    {{"PK\x03\x04", 4},
     "a zip archive or a workbook",
     "text, plain or gzip: unzip -p, or save as CSV"},
    {{"\x28\xb5\x2f\xfd", 4}, "compressed by zstd", "text, plain or gzip: zstd -dc FILE |"},
    {{"\xfd"
      "7zXZ",
      5},
     "compressed by xz",
     "text, plain or gzip: xz -dc FILE |"},
    {{"BZh91AY&SY", 10}, "compressed by bzip2", "text, plain or gzip: bzip2 -dc FILE |"},
    {{"PAR1\x15", 5}, "a Parquet file", "text, or an Avro container"},
};
#define MARKS (sizeof(marks) / sizeof(marks[0]))

const struct file_mark *file_mark_find(const char *data, size_t length)
{
    for (size_t i = 0; i < MARKS; i++) {
        struct text bytes = marks[i].bytes;
        if (length >= bytes.length && memcmp(data, bytes.data, bytes.length) == 0) {
            return &marks[i];
        }
    }
    return NULL;
}

bool file_mark_may_follow(const char *data, size_t length)
{
    for (size_t i = 0; i < MARKS; i++) {
        struct text bytes = marks[i].bytes;
        if (length < bytes.length && (length == 0 || memcmp(data, bytes.data, length) == 0)) {
            return true;
        }
    }
    return false;
}
