/*
 * Loaded before a program (LD_PRELOAD), makes its wall clock jump: the first eight bytes of the
 * file that JUMPING_CLOCK names are by how many nanoseconds it is wrong, and may change at any
 * time. Waits until a time of that clock end when it says so, as they do where the real one is set.
 * The monotonic clock is as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 20000000
/* Earlier than this is no date, but the time since the machine was started. */
#define WALL_CLOCK_S 1000000000

static const _Atomic int64_t *offset_ns;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("JUMPING_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    void *mapped = file >= 0 ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED) {
        abort();
    }
    (void)close(file);
    *(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real_timedwait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    offset_ns = mapped;
}

static void add_ns(struct timespec *at, int64_t ns)
{
    int64_t sum = at->tv_nsec + ns % 1000000000;
    at->tv_sec += ns / 1000000000 + (sum >= 1000000000) - (sum < 0);
    at->tv_nsec = sum - 1000000000 * ((sum >= 1000000000) - (sum < 0));
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    if (!real_gettime) { /* Before begin(). */
        *(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real_gettime(clock, ret_now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && offset_ns) {
        add_ns(ret_now, *offset_ns);
    }
    return result;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    *ret_now = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return result;
}

time_t time(time_t *ret_now)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now) {
        *ret_now = now.tv_sec;
    }
    return now.tv_sec;
}

int timespec_get(struct timespec *ret_now, int base)
{
    return clock_gettime(CLOCK_REALTIME, ret_now) == 0 ? base : 0;
}

static int is_over(const struct timespec *until)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec > until->tv_sec ||
           (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    if (until->tv_sec < WALL_CLOCK_S) {
        return real_timedwait(cond, mutex, until);
    }
    while (!is_over(until)) {
        struct timespec left = *until;
        struct timespec slice;
        (void)real_gettime(CLOCK_REALTIME, &slice);
        add_ns(&slice, SLICE_NS);
        add_ns(&left, -*offset_ns);
        int is_shorter = left.tv_sec < slice.tv_sec ||
                         (left.tv_sec == slice.tv_sec && left.tv_nsec < slice.tv_nsec);
        int result = real_timedwait(cond, mutex, is_shorter ? &left : &slice);
        if (result != ETIMEDOUT) {
            return result;
        }
    }
    return ETIMEDOUT;
}

/* The C library's own does not come by here. Its two kinds of conditions and mutexes are the same.
 */
int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                  const struct timespec *restrict until)
{
    int result = pthread_cond_timedwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, until);
    return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}
