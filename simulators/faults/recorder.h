/* What reached the kernel, in order: every write, sync, truncation and change of a name below VAKTPOST_RECORD_ROOT,
 * appended to the file VAKTPOST_RECORD. simulators/faults/recording.py reads it; the marks of what was confirmed are
 * appended to the same file by simulators/faults/recorded_hub.py.
 *
 * A write is noted after it was done, a sync before it begins and after it has ended: what a sync has made durable is
 * what was noted before its beginning. One record is one writev to a file opened for appending, so threads do not mix.
 */
enum note { NOTE_OPEN = 1, NOTE_WRITE, NOTE_SYNC_BEGIN, NOTE_SYNC_END, NOTE_TRUNCATE, NOTE_UNLINK, NOTE_RENAME,
            NOTE_MKDIR, NOTE_ALLOCATE };

struct note_head {
    unsigned int magic, kind;
    unsigned long long inode;
    long long offset; /* of a write or an allocation; the length that a truncation leaves; the flags of an open */
    unsigned int thread, length; /* bytes that follow */
};

#define RECORD_MAGIC 0x56524543u
#define MAX_FDS 65536

static int record_fd = -1;
static const char *record_root;
static unsigned char is_recorded[MAX_FDS];
static pthread_once_t record_once = PTHREAD_ONCE_INIT;

static void begin_record(void) {
    const char *file = getenv("VAKTPOST_RECORD");
    record_root = getenv("VAKTPOST_RECORD_ROOT");
    if (!file || !record_root) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    record_fd = fd < 0 ? -1 : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900); /* out of everybody's way */
    if (fd >= 0) syscall(SYS_close, fd);
}

static int is_recording(void) {
    pthread_once(&record_once, begin_record);
    return record_fd >= 0;
}

static void note(enum note kind, unsigned long long inode, long long offset, const void *bytes, size_t length) {
    int before = errno;
    struct note_head head = {.magic = RECORD_MAGIC, .kind = kind, .inode = inode, .offset = offset,
                             .thread = (unsigned int)syscall(SYS_gettid), .length = (unsigned int)length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    if (syscall(SYS_writev, record_fd, parts, length ? 2 : 1) < 0) abort(); /* a gap would make the replay a lie */
    errno = before;
}

static int is_below_root(const char *path) {
    size_t length = strlen(record_root);
    return !strncmp(path, record_root, length) && (path[length] == '/' || path[length] == 0);
}

/* The inode of a file or folder below the root, else 0: the number of a closed file may be a socket's by now. */
static unsigned long long inode_of(int fd) {
    struct stat st;
    if (!is_recording() || fd < 0 || fd >= MAX_FDS || !is_recorded[fd] || syscall(SYS_fstat, fd, &st) != 0) return 0;
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? st.st_ino : 0;
}

static void note_open(int fd, const char *given, int flags) {
    (void)given;
    if (!is_recording() || fd >= MAX_FDS) return;
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    is_recorded[fd] = (unsigned char)is_below_root(path);
    unsigned long long inode = inode_of(fd);
    if (inode) note(NOTE_OPEN, inode, flags, path, (size_t)length);
}

static void note_write(int fd, const void *bytes, ssize_t length, long long offset) {
    unsigned long long inode = inode_of(fd);
    if (!inode) return;
    if (offset < 0) offset = (long long)syscall(SYS_lseek, fd, 0, SEEK_CUR) - length;
    note(NOTE_WRITE, inode, offset, bytes, (size_t)length);
}

static void note_number(enum note kind, int fd, long long number) {
    unsigned long long inode = inode_of(fd);
    if (inode) note(kind, inode, number, NULL, 0);
}

static void note_sync_begin(int fd) { note_number(NOTE_SYNC_BEGIN, fd, 0); }
static void note_sync(int fd) { note_number(NOTE_SYNC_END, fd, 0); }
static void note_truncate(int fd, long long length) { note_number(NOTE_TRUNCATE, fd, length); }
static void note_allocate(int fd, long long offset, long long length) {
    note_number(NOTE_ALLOCATE, fd, offset + length);
}

static void note_unlink(const char *path) {
    if (is_recording() && is_below_root(path)) note(NOTE_UNLINK, 0, 0, path, strlen(path));
}

static void note_rename(const char *from, const char *to) {
    if (!is_recording() || (!is_below_root(from) && !is_below_root(to))) return;
    char both[2 * PATH_MAX + 1];
    size_t first = strlen(from), second = strlen(to);
    memcpy(both, from, first + 1);
    memcpy(both + first + 1, to, second);
    note(NOTE_RENAME, 0, 0, both, first + 1 + second);
}

static void note_mkdir(const char *path) {
    struct stat st;
    if (!is_recording() || !is_below_root(path)) return;
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0) note(NOTE_MKDIR, st.st_ino, 0, path, strlen(path));
}
