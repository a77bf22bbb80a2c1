/* Writes down what a process does to the files of one folder; see recorder.py.

Preloaded before libc. Each call goes through, then a line says what it did: names as they are, and
a copy of a file's content where it is synced, closed after writing, renamed or linked. One lock
around call and line keeps their order. Single writes are not told apart: a disk may keep any part
of what was not synced, so only what is there at those moments counts.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static int copies;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
/* The call between lock and line; `line` runs only where the call did not fail. */
#define TOLD(type, call, failed, line)     \
    do {                                   \
        pthread_mutex_lock(&one);          \
        type found = (call);               \
        int kept = errno;                  \
        if (found != (failed)) { line; }   \
        errno = kept;                      \
        pthread_mutex_unlock(&one);        \
        return found;                      \
    } while (0)

static const char *folder(void) { return getenv("RECORDED_FOLDER"); }

static int inside(const char *path) {
    size_t n = folder() ? strlen(folder()) : 0;
    return n && !strncmp(path, folder(), n) && (path[n] == '/' || !path[n]);
}

/* The absolute path of `path` from the open folder `at`. */
static void absolute(int at, const char *path, char *out) {
    char link[64], base[PATH_MAX] = "";
    if (path[0] != '/') {
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length > 0 ? length : 0] = 0;
    }
    size_t n = strlen(base);
    snprintf(out, PATH_MAX, "%s", base);
    snprintf(out + n, PATH_MAX - n, "%s%s", n ? "/" : "", path);
}

static void say(const char *what, const char *path, const char *other) {
    char line[3 * PATH_MAX], log[PATH_MAX];
    struct stat facts = {0};
    if (lstat(path, &facts)) facts.st_ino = 0;
    int n = snprintf(line, sizeof line, "%s\t%lu\t%s\t%s\n", what, facts.st_ino, path, other);
    snprintf(log, sizeof log, "%s/log", getenv("RECORD"));
    int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, file, line, n);
    syscall(SYS_close, file);
}

/* Copies the content of a regular file; says `what` with the name of the copy. */
static void copy(const char *what, const char *path) {
    char name[64], target[PATH_MAX + 64], part[1 << 16];
    ssize_t n;
    snprintf(name, sizeof name, "%d.%d", getpid(), copies++);
    snprintf(target, sizeof target, "%s/%s", getenv("RECORD"), name);
    int in = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0);
    if (in < 0) return;
    int out = syscall(SYS_openat, AT_FDCWD, target, O_WRONLY | O_CREAT | O_EXCL, 0600);
    while ((n = syscall(SYS_read, in, part, sizeof part)) > 0) syscall(SYS_write, out, part, n);
    syscall(SYS_close, in);
    syscall(SYS_close, out);
    say(what, path, name);
}

/* 0, or the kind of what `fd` has open inside the folder, and its path. */
static mode_t opened(int fd, char *path) {
    char link[64];
    struct stat facts;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = 0;
    return n > 0 && inside(path) && !fstat(fd, &facts) ? facts.st_mode & S_IFMT : 0;
}

static void say_opened(int at, const char *path, int flags) {
    char whole[PATH_MAX];
    absolute(at, path, whole);
    if (inside(whole) && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_DIRECTORY))
        say(flags & O_TRUNC ? "empty" : "open", whole, "");
}

static void say_one(const char *what, int at, const char *path) {
    char whole[PATH_MAX];
    absolute(at, path, whole);
    if (inside(whole)) say(what, whole, "");
}

/* With the content, which a map of a file that was closed may have changed since. */
static void say_two(const char *what, int at, const char *from, int to_at, const char *to) {
    char source[PATH_MAX], target[PATH_MAX];
    absolute(at, from, source);
    absolute(to_at, to, target);
    if (!inside(target)) return;
    say(what, source, target);
    copy("content", target);
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                                      \
    int name(const char *path, int flags, ...) {                                        \
        va_list rest;                                                                   \
        va_start(rest, flags);                                                          \
        mode_t mode = mode_of(flags, rest);                                             \
        va_end(rest);                                                                   \
        TOLD(int, REAL(name)(path, flags, mode), -1, say_opened(AT_FDCWD, path, flags)); \
    }
#define OPENAT(name)                                                                    \
    int name(int at, const char *path, int flags, ...) {                                \
        va_list rest;                                                                   \
        va_start(rest, flags);                                                          \
        mode_t mode = mode_of(flags, rest);                                             \
        va_end(rest);                                                                   \
        TOLD(int, REAL(name)(at, path, flags, mode), -1, say_opened(at, path, flags));   \
    }
#define FOPEN(name)                                                                     \
    FILE *name(const char *path, const char *mode) {                                    \
        int flags = mode[0] == 'r' && !strchr(mode, '+') ? O_RDONLY : O_WRONLY;         \
        TOLD(FILE *, REAL(name)(path, mode), NULL,                                      \
             say_opened(AT_FDCWD, path, flags | (mode[0] == 'w' ? O_TRUNC : 0)));       \
    }
#define SYNC(name)                                                                      \
    int name(int fd) {                                                                  \
        char path[PATH_MAX];                                                            \
        TOLD(int, REAL(name)(fd), -1, switch (opened(fd, path)) {                       \
            case S_IFREG: copy("synced", path); break;                                  \
            case S_IFDIR: say("folder synced", path, "");                               \
        });                                                                             \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
SYNC(fsync)
SYNC(fdatasync)

void sync(void) {
    pthread_mutex_lock(&one);
    REAL(sync)();
    if (folder()) say("all synced", folder(), "");
    pthread_mutex_unlock(&one);
}

static void say_content(int fd) {
    char path[PATH_MAX];
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && opened(fd, path) == S_IFREG)
        copy("content", path);
}

int close(int fd) {
    pthread_mutex_lock(&one);
    say_content(fd);
    int found = REAL(close)(fd);
    pthread_mutex_unlock(&one);
    return found;
}

int fclose(FILE *file) {
    pthread_mutex_lock(&one);
    fflush(file);
    say_content(fileno(file));
    int found = REAL(fclose)(file);
    pthread_mutex_unlock(&one);
    return found;
}

int rename(const char *from, const char *to) {
    TOLD(int, REAL(rename)(from, to), -1, say_two("rename", AT_FDCWD, from, AT_FDCWD, to));
}

int renameat(int at, const char *from, int to_at, const char *to) {
    TOLD(int, REAL(renameat)(at, from, to_at, to), -1, say_two("rename", at, from, to_at, to));
}

int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) {
    TOLD(int, REAL(renameat2)(at, from, to_at, to, flags), -1,
         say_two("rename", at, from, to_at, to));
}

int link(const char *from, const char *to) {
    TOLD(int, REAL(link)(from, to), -1, say_two("link", AT_FDCWD, from, AT_FDCWD, to));
}

int linkat(int at, const char *from, int to_at, const char *to, int flags) {
    TOLD(int, REAL(linkat)(at, from, to_at, to, flags), -1, say_two("link", at, from, to_at, to));
}

int symlink(const char *to, const char *path) {
    char whole[PATH_MAX];
    absolute(AT_FDCWD, path, whole);
    TOLD(int, REAL(symlink)(to, path), -1, if (inside(whole)) say("symlink", whole, to));
}

int mkdir(const char *path, mode_t mode) {
    TOLD(int, REAL(mkdir)(path, mode), -1, say_one("mkdir", AT_FDCWD, path));
}

int mkdirat(int at, const char *path, mode_t mode) {
    TOLD(int, REAL(mkdirat)(at, path, mode), -1, say_one("mkdir", at, path));
}

int unlink(const char *path) {
    TOLD(int, REAL(unlink)(path), -1, say_one("remove", AT_FDCWD, path));
}

int rmdir(const char *path) {
    TOLD(int, REAL(rmdir)(path), -1, say_one("remove", AT_FDCWD, path));
}

int unlinkat(int at, const char *path, int flags) {
    TOLD(int, REAL(unlinkat)(at, path, flags), -1, say_one("remove", at, path));
}

int remove(const char *path) {
    TOLD(int, REAL(remove)(path), -1, say_one("remove", AT_FDCWD, path));
}
