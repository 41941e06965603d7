/* unix_listener.h - a listening socket in the file system, beside the one of TCP.
 *
 * Threads: one at a time.
 */
#ifndef KJ_HTTP_UNIX_LISTENER_H
#define KJ_HTTP_UNIX_LISTENER_H

#include <kujata/error.h>
#include <kujata/status.h>
#include <sys/types.h>

struct kj__unix_listener {
    int fd;           /* never blocks; -1: there is none */
    const char *path; /* borrowed; NULL: the file is not ours to take away */
    dev_t device;     /* of the file we made, as is the next */
    ino_t inode;
};

/* None. */
void kj__unix_listener_init(struct kj__unix_listener *listener);

/* Listens. A socket that a program left behind is replaced; one that somebody listens at, and any
 * other file, is KJ_EIO. KJ_EINVAL for a path that no socket can have. `error` names the path. */
enum kj_status kj__unix_listener_open(struct kj__unix_listener *listener, const char *path,
                                      struct kj_error *error);

/* Nobody connects from now on, and the file goes, unless it is somebody else's by now. What has
 * connected stays. Idempotent. */
void kj__unix_listener_shut(struct kj__unix_listener *listener);

/* Shuts first. */
void kj__unix_listener_fini(struct kj__unix_listener *listener);

#endif
