/* unix_listener.c - see unix_listener.h. */
#include "http/unix_listener.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

void kj__unix_listener_init(struct kj__unix_listener *listener)
{
    *listener = (struct kj__unix_listener){.fd = -1};
}

/* A socket's file outlives a program that was killed; then nobody answers there. */
static bool is_left_behind(const struct sockaddr_un *address)
{
    struct stat file;
    if (lstat(address->sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return false;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_dead = probe >= 0 &&
                   connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    if (probe >= 0) {
        close(probe);
    }
    return is_dead;
}

static bool bind_to(int fd, const struct sockaddr_un *address)
{
    const struct sockaddr *generic = (const struct sockaddr *)address;
    return bind(fd, generic, sizeof *address) == 0 ||
           (errno == EADDRINUSE && is_left_behind(address) && unlink(address->sun_path) == 0 &&
            bind(fd, generic, sizeof *address) == 0);
}

static enum kj_status fail(struct kj_error *error, enum kj_status status, const char *path,
                           const char *reason)
{
    kj_error_set(error, 0, "option listen_unix (--listen-unix): cannot listen at %s: %s", path,
                 reason);
    return status;
}

enum kj_status kj__unix_listener_open(struct kj__unix_listener *listener, const char *path,
                                      struct kj_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.sun_path) {
        return fail(error, KJ_EINVAL, path, "a path has 1 to 107 bytes");
    }
    memcpy(address.sun_path, path, len + 1);
    struct stat file;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !bind_to(fd, &address)) {
        const char *reason = errno == EADDRINUSE ? "the file is there already" : strerror(errno);
        if (fd >= 0) {
            close(fd);
        }
        return fail(error, KJ_EIO, path, reason);
    }
    *listener = (struct kj__unix_listener){.fd = fd, .path = path};
    if (lstat(path, &file) == 0) {
        listener->device = file.st_dev;
        listener->inode = file.st_ino;
    }
    if (listen(fd, BACKLOG) != 0) {
        enum kj_status status = fail(error, KJ_EIO, path, strerror(errno));
        kj__unix_listener_fini(listener);
        return status;
    }
    return KJ_OK;
}

void kj__unix_listener_shut(struct kj__unix_listener *listener)
{
    struct stat file;
    if (!listener->path) {
        return;
    }
    shutdown(listener->fd, SHUT_RDWR);
    if (lstat(listener->path, &file) == 0 && file.st_dev == listener->device &&
        file.st_ino == listener->inode) {
        unlink(listener->path);
    }
    listener->path = NULL;
}

void kj__unix_listener_fini(struct kj__unix_listener *listener)
{
    kj__unix_listener_shut(listener);
    if (listener->fd >= 0) {
        close(listener->fd);
        listener->fd = -1;
    }
}
