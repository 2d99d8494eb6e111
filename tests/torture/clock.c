/*
 * A wall clock that is wrong by as much as a file says, for processes that load this first (LD_PRELOAD).
 *
 * The file named by TORTURE_CLOCK holds nanoseconds, eight bytes in the machine's own order; it is mapped, so that a change is seen
 * at once. Clocks that only count (CLOCK_MONOTONIC) stay as they are. A wait until a moment of the wall clock is told in the wrong
 * time and must be made in the right one; so a wait that is under way when the clock jumps ends when it would have.
 * Neighbour: clock.py builds this and writes the file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LONG_AGO 1000000000LL /* seconds: what is later is a moment of the wall clock, what is earlier counts from the start */

static const volatile int64_t *wrong_by;
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_cnd_wait)(cnd_t *, mtx_t *, const struct timespec *);
static int (*real_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("TORTURE_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0)
        close(file);
    if (found != MAP_FAILED)
        wrong_by = found;
    real_wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    real_cnd_wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
}

static void add(struct timespec *moment, int64_t nanoseconds) {
    int64_t all = moment->tv_sec * SECOND + moment->tv_nsec + nanoseconds;
    moment->tv_sec = all / SECOND;
    moment->tv_nsec = all % SECOND;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = real_clock ? real_clock(clock, now) : (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && wrong_by && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        add(now, *wrong_by);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec moment;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &moment);
    now->tv_sec = moment.tv_sec;
    now->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    if (now)
        *now = moment.tv_sec;
    return moment.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return clock_gettime(CLOCK_REALTIME, now) ? 0 : base;
}

static struct timespec right(const struct timespec *until) {
    struct timespec moment = *until;
    if (wrong_by && until->tv_sec > LONG_AGO)
        add(&moment, -*wrong_by);
    return moment;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    struct timespec moment = right(until);
    return real_wait(condition, mutex, &moment);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec moment = right(until);
    return real_cnd_wait(condition, mutex, &moment);
}
