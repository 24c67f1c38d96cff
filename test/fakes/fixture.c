#define _XOPEN_SOURCE 700 /* nftw */
#include "test/fakes/fixture.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *fixture_directory(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/nudge-test-XXXXXX", base ? base : "/tmp");
    char *made = mkdtemp(path);
    assert(made);
    return strdup(made);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fixture_remove(const char *directory)
{
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert(file);
    bool is_written = fputs(text, file) >= 0;
    is_written = fclose(file) == 0 && is_written;
    assert(is_written);
}
