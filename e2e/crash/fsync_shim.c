/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into the server: counts the calls that change files below one directory, and kills
 * the process, or fails the call, at the one that the test asks for.
 *
 * Two kinds of calls are counted apart: flushes (fsync, fdatasync, syncfs, sync_file_range,
 * msync) and changes (write, pwrite, writev, pwritev, ftruncate, rename, unlink, mkdir). What is
 * to happen, and what was seen, lies in a file that the test maps too, so the test can arm a
 * running server. A kill is SIGKILL: the process gets no chance to tidy up.
 *
 * CRASH_SHIM_CONTROL  the file with `struct control`
 * CRASH_SHIM_UNDER    the directory, absolute and resolved
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { FLUSH = 0, CHANGE = 1, KINDS = 2 };
enum action { NOTHING, KILL_BEFORE, KILL_AFTER, FAIL, KILL_HALFWAY, LIE };

enum { SEEN_MAX = 4096, NAME_BYTES = 112 };

/* Shared with shim.py, which knows the offsets. */
struct plan {
    uint64_t first;  /* the call to act on; the first is 1 */
    uint64_t last;   /* and all up to this one */
    uint32_t action;
    uint32_t errno_; /* for FAIL */
};

struct control {
    _Atomic uint64_t counted[KINDS];
    struct plan plans[KINDS];
    _Atomic uint64_t seen; /* entries of `names` in use */
    uint64_t loaded;       /* this library found the file */
    char names[SEEN_MAX][NAME_BYTES];
};

static struct control *control;
static char under[PATH_MAX];
static size_t under_len;

__attribute__((constructor)) static void start(void) {
    const char *file = getenv("CRASH_SHIM_CONTROL");
    const char *dir = getenv("CRASH_SHIM_UNDER");
    if (file == NULL || dir == NULL || strlen(dir) >= sizeof under) return;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED) return;
    strcpy(under, dir);
    under_len = strlen(dir);
    control = map;
    control->loaded = 1;
}

/* The part of `path` below the directory, or NULL. */
static const char *below(const char *path) {
    if (strncmp(path, under, under_len) != 0) return NULL;
    if (path[under_len] == '\0') return ".";
    return path[under_len] == '/' ? path + under_len + 1 : NULL;
}

static const char *name_of_fd(int fd, char *buffer) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
    if (len < 0) return NULL;
    buffer[len] = '\0';
    return below(buffer);
}

static void kill_now(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* Counts a call and says what to do with it. */
static enum action count(enum kind kind, const char *call, const char *name) {
    uint64_t number = atomic_fetch_add(&control->counted[kind], 1) + 1;
    uint64_t entry = atomic_fetch_add(&control->seen, 1);
    if (entry < SEEN_MAX) {
        snprintf(control->names[entry], NAME_BYTES, "%c%llu %s %s", kind == FLUSH ? 'f' : 'c',
                 (unsigned long long)number, call, name);
    }
    const struct plan *plan = &control->plans[kind];
    if (plan->action == NOTHING || number < plan->first || number > plan->last) return NOTHING;
    return (enum action)plan->action;
}

/* Runs `expression` (-1 and errno on failure) as the plan for this call wants it. */
#define ACT(kind, call, name, half, expression)                                                \
    do {                                                                                       \
        const char *name_ = (name);                                                            \
        enum action action_ = name_ == NULL ? NOTHING : count(kind, call, name_);              \
        if (action_ == KILL_BEFORE) kill_now();                                                \
        if (action_ == KILL_HALFWAY) { half; kill_now(); }                                     \
        if (action_ == LIE) return 0;                                                          \
        if (action_ == FAIL) { errno = (int)control->plans[kind].errno_; return -1; }          \
        __typeof__(expression) done_ = (expression);                                           \
        if (action_ == KILL_AFTER) kill_now();                                                 \
        return done_;                                                                          \
    } while (0)

#define ON_FD(kind, call, half, expression)                                                    \
    do {                                                                                       \
        char buffer_[PATH_MAX];                                                                \
        ACT(kind, call, control == NULL ? NULL : name_of_fd(fd, buffer_), half, expression);   \
    } while (0)

int fsync(int fd) { ON_FD(FLUSH, "fsync", , (int)syscall(SYS_fsync, fd)); }

int fdatasync(int fd) { ON_FD(FLUSH, "fdatasync", , (int)syscall(SYS_fdatasync, fd)); }

int syncfs(int fd) { ON_FD(FLUSH, "syncfs", , (int)syscall(SYS_syncfs, fd)); }

int sync_file_range(int fd, off_t offset, off_t count_, unsigned flags) {
    ON_FD(FLUSH, "sync_file_range", , (int)syscall(SYS_sync_file_range, fd, offset, count_, flags));
}

/* A map has no name here: every msync counts. */
int msync(void *start_, size_t len, int flags) {
    ACT(FLUSH, "msync", control == NULL ? NULL : "map", ,
        (int)syscall(SYS_msync, start_, len, flags));
}

ssize_t write(int fd, const void *bytes, size_t len) {
    ON_FD(CHANGE, "write", syscall(SYS_write, fd, bytes, len / 2),
          (ssize_t)syscall(SYS_write, fd, bytes, len));
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset) {
    ON_FD(CHANGE, "pwrite", syscall(SYS_pwrite64, fd, bytes, len / 2, offset),
          (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset) {
    return pwrite64(fd, bytes, len, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
    ON_FD(CHANGE, "writev", syscall(SYS_writev, fd, parts, number / 2),
          (ssize_t)syscall(SYS_writev, fd, parts, number));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int number, off64_t offset) {
    ON_FD(CHANGE, "pwritev", syscall(SYS_pwritev, fd, parts, number / 2, offset, 0),
          (ssize_t)syscall(SYS_pwritev, fd, parts, number, offset, 0));
}

ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t offset) {
    return pwritev64(fd, parts, number, offset);
}

int ftruncate64(int fd, off64_t len) {
    ON_FD(CHANGE, "ftruncate", , (int)syscall(SYS_ftruncate, fd, len));
}

int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

/* Calls on names: those that are absolute and below the directory count. */
#define ON_NAME(call, path, expression)                                                        \
    ACT(CHANGE, call, control == NULL ? NULL : below(path), , expression)

int rename(const char *from, const char *to) {
    ON_NAME("rename", to, (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    ON_NAME("renameat", to, (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    ON_NAME("renameat2", to, (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int unlink(const char *path) {
    ON_NAME("unlink", path, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

int mkdir(const char *path, mode_t mode) {
    ON_NAME("mkdir", path, (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
