#include "pipeline/base/crash_point.h"

#ifdef NUDGE_CRASH_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NAME(ENUM, name) name,
static const char *const names[CRASH_POINT_COUNT] = {CRASH_POINTS(NAME)};
#undef NAME

static atomic_ulong passed;

void crash_point(enum crash_point point)
{
    const char *wanted = getenv("NUDGE_CRASH_AT");
    size_t length = strlen(names[point]);
    if (!wanted || strncmp(wanted, names[point], length) != 0 || wanted[length] != ':') {
        return;
    }
    if (atomic_fetch_add(&passed, 1) + 1 == strtoul(wanted + length + 1, NULL, 10)) {
        (void)raise(SIGKILL);
    }
}

#else

typedef int crash_point_unused;

#endif
