/* Faults of storage, put between a process and libc by LD_PRELOAD. Built by simulators/faults/shim.py.
 *
 * VAKTPOST_FAULTS names a file of rules, looked at again whenever it changes, so that a test can make a card fail and
 * mend while the process runs. One rule a line:
 *
 *     OPERATION PATH ACTION [NUMBER [FROM TO]]
 *
 *     OPERATION  open, read, write, sync, truncate, name (unlink, rename, mkdir), or any
 *     PATH       what the file's path contains; with a $ behind it: what it ends with
 *     ACTION     error NUMBER   fail with this errno
 *                slow NUMBER    take so many milliseconds longer
 *                hang           do not come back while the rule stands
 *     FROM TO    only what is read or written at a place in the file, and touches these bytes (TO is the first after)
 *
 * The first rule that fits counts. What is recorded of each call that worked is in recorder.h, when that is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation { OP_OPEN, OP_READ, OP_WRITE, OP_SYNC, OP_TRUNCATE, OP_NAME, OP_ANY };
enum action { ACT_NONE, ACT_ERROR, ACT_SLOW, ACT_HANG };

struct rule {
    enum operation operation;
    char path[256];
    enum action action;
    long number;
    long from, to; /* to 0: wherever it is */
};

#define MAX_RULES 32
static struct rule rules[MAX_RULES];
static int rule_count;
static struct timespec rules_at;
static off_t rules_size = -1;
static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...)                                                                                        \
    static result (*real)(__VA_ARGS__);                                                                                \
    if (!real) *(void **)(&real) = dlsym(RTLD_NEXT, name)

static const char *const operation_words[] = {"open", "read", "write", "sync", "truncate", "name", "any"};

/* Straight to the kernel, so that reading the rules is not itself subject to them. */
static void load_rules(const char *file) {
    struct stat st;
    if (syscall(SYS_newfstatat, AT_FDCWD, file, &st, 0) != 0) {
        rule_count = 0;
        rules_size = -1;
        return;
    }
    if (st.st_size == rules_size && st.st_mtim.tv_sec == rules_at.tv_sec && st.st_mtim.tv_nsec == rules_at.tv_nsec)
        return;
    char text[8192];
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    long length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length < 0) return;
    text[length] = 0;
    rules_size = st.st_size;
    rules_at = st.st_mtim;
    rule_count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && rule_count < MAX_RULES; line = strtok_r(NULL, "\n", &rest)) {
        struct rule *rule = &rules[rule_count];
        char operation[16], action[16];
        rule->number = rule->from = rule->to = 0;
        if (sscanf(line, "%15s %255s %15s %ld %ld %ld", operation, rule->path, action, &rule->number, &rule->from,
                   &rule->to) < 3)
            continue;
        int found = -1;
        for (int word = 0; word <= OP_ANY; word++)
            if (!strcmp(operation, operation_words[word])) found = word;
        if (found < 0) continue;
        rule->operation = (enum operation)found;
        rule->action = !strcmp(action, "error") ? ACT_ERROR : !strcmp(action, "slow") ? ACT_SLOW : ACT_HANG;
        rule_count++;
    }
}

struct place {
    long at; /* -1: nowhere in particular */
    size_t length;
};
static const struct place nowhere = {.at = -1};

static int touches(const struct rule *rule, struct place place) {
    if (rule->to == 0) return 1;
    return place.at >= 0 && place.at < rule->to && place.at + (long)place.length > rule->from;
}

static int is_about(const struct rule *rule, const char *path) {
    size_t length = strlen(rule->path), whole = strlen(path);
    if (length == 0 || rule->path[length - 1] != '$') return strstr(path, rule->path) != NULL;
    length--;
    return whole >= length && !strncmp(path + whole - length, rule->path, length);
}

static struct rule rule_for(enum operation operation, const char *path, struct place place) {
    struct rule none = {.action = ACT_NONE};
    const char *file = getenv("VAKTPOST_FAULTS");
    if (!file || !path) return none;
    pthread_mutex_lock(&rules_lock);
    load_rules(file);
    struct rule found = none;
    for (int i = 0; i < rule_count; i++)
        if ((rules[i].operation == operation || rules[i].operation == OP_ANY) && is_about(&rules[i], path) &&
            touches(&rules[i], place)) {
            found = rules[i];
            break;
        }
    pthread_mutex_unlock(&rules_lock);
    return found;
}

/* Whether the call is to fail; errno is set then. Waits, for rules that say so. */
static int fails_at(enum operation operation, const char *path, struct place place) {
    int before = errno;
    struct rule rule = rule_for(operation, path, place);
    if (rule.action == ACT_SLOW) {
        struct timespec span = {.tv_sec = rule.number / 1000, .tv_nsec = rule.number % 1000 * 1000000};
        while (nanosleep(&span, &span) && errno == EINTR) continue;
    }
    while (rule.action == ACT_HANG) {
        struct timespec span = {.tv_nsec = 20000000};
        nanosleep(&span, NULL);
        rule = rule_for(operation, path, place);
    }
    errno = before;
    if (rule.action != ACT_ERROR) return 0;
    errno = (int)rule.number;
    return 1;
}

static int fails(enum operation operation, const char *path) { return fails_at(operation, path, nowhere); }

static const char *path_of(int fd, char *room) {
    if (!getenv("VAKTPOST_FAULTS")) return NULL;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, room, PATH_MAX - 1);
    if (length <= 0) return NULL;
    room[length] = 0;
    return room;
}

static int fd_fails_at(enum operation operation, int fd, struct place place) {
    char room[PATH_MAX];
    const char *path = path_of(fd, room);
    return path && path[0] == '/' && fails_at(operation, path, place);
}

static int fd_fails(enum operation operation, int fd) { return fd_fails_at(operation, fd, nowhere); }

/* What a recorder wants to know: it defines these. `offset` -1: at the file's own place, which is then past it. */
#if __has_include("recorder.h")
#include "recorder.h"
#else
#define note_open(fd, path, flags) (void)0
#define note_write(fd, bytes, length, offset) (void)0
#define note_sync_begin(fd) (void)0
#define note_sync(fd) (void)0
#define note_truncate(fd, length) (void)0
#define note_unlink(path) (void)0
#define note_rename(from, to) (void)0
#define note_mkdir(path) (void)0
#define note_allocate(fd, offset, length) (void)0
#endif

#define WITH_MODE                                                                                                      \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        WITH_MODE                                                                                                      \
        REAL(int, #name, const char *, int, ...);                                                                      \
        if (fails(OP_OPEN, path)) return -1;                                                                           \
        int fd = real(path, flags, mode);                                                                              \
        if (fd >= 0) note_open(fd, path, flags);                                                                       \
        return fd;                                                                                                     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        WITH_MODE                                                                                                      \
        REAL(int, #name, int, const char *, int, ...);                                                                 \
        if (fails(OP_OPEN, path)) return -1;                                                                           \
        int fd = real(folder, path, flags, mode);                                                                      \
        if (fd >= 0) note_open(fd, path, flags);                                                                       \
        return fd;                                                                                                     \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t read(int fd, void *bytes, size_t length) {
    REAL(ssize_t, "read", int, void *, size_t);
    return fd_fails(OP_READ, fd) ? -1 : real(fd, bytes, length);
}

#define PREAD(name, type)                                                                                              \
    ssize_t name(int fd, void *bytes, size_t length, type offset) {                                                    \
        REAL(ssize_t, #name, int, void *, size_t, type);                                                               \
        struct place place = {.at = (long)offset, .length = length};                                                   \
        return fd_fails_at(OP_READ, fd, place) ? -1 : real(fd, bytes, length, offset);                                 \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (fd_fails(OP_WRITE, fd)) return -1;
    ssize_t done = real(fd, bytes, length);
    if (done > 0) note_write(fd, bytes, done, -1);
    return done;
}

#define PWRITE(name, type)                                                                                             \
    ssize_t name(int fd, const void *bytes, size_t length, type offset) {                                              \
        REAL(ssize_t, #name, int, const void *, size_t, type);                                                         \
        struct place place = {.at = (long)offset, .length = length};                                                   \
        if (fd_fails_at(OP_WRITE, fd, place)) return -1;                                                               \
        ssize_t done = real(fd, bytes, length, offset);                                                                \
        if (done > 0) note_write(fd, bytes, done, offset);                                                             \
        return done;                                                                                                   \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(name)                                                                                                     \
    int name(int fd) {                                                                                                 \
        REAL(int, #name, int);                                                                                         \
        if (fd_fails(OP_SYNC, fd)) return -1;                                                                          \
        note_sync_begin(fd);                                                                                           \
        int result = real(fd);                                                                                         \
        if (result == 0) note_sync(fd);                                                                                \
        return result;                                                                                                 \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, type)                                                                                           \
    int name(int fd, type length) {                                                                                    \
        REAL(int, #name, int, type);                                                                                   \
        if (fd_fails(OP_TRUNCATE, fd)) return -1;                                                                      \
        int result = real(fd, length);                                                                                 \
        if (result == 0) note_truncate(fd, length);                                                                    \
        return result;                                                                                                 \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define ALLOCATE(name, type)                                                                                           \
    int name(int fd, type offset, type length) {                                                                       \
        REAL(int, #name, int, type, type);                                                                             \
        if (fd_fails(OP_WRITE, fd)) return errno;                                                                      \
        int result = real(fd, offset, length);                                                                         \
        if (result == 0) note_allocate(fd, offset, length);                                                            \
        return result;                                                                                                 \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (fails(OP_NAME, path)) return -1;
    int result = real(path);
    if (result == 0) note_unlink(path);
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (fails(OP_NAME, from)) return -1;
    int result = real(from, to);
    if (result == 0) note_rename(from, to);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    if (fails(OP_NAME, path)) return -1;
    int result = real(path, mode);
    if (result == 0) note_mkdir(path);
    return result;
}
