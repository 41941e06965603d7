/* writer.h - sends to many sockets, collected and then made at once.
 *
 * Either one send() for each, or through io_uring: registered files, all sends of a batch
 * submitted in one call, and a completion only for a send that did not go through whole. Both
 * are done with the bytes when a run returns.
 *
 * Threads: a shard's. Sockets are registered and forgotten there too.
 */
#ifndef KJ_DELIVERY_WRITER_H
#define KJ_DELIVERY_WRITER_H

#include <kujata/server.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Few enough that what arrives meanwhile is looked at often: 128 made a burst of events dearer by
 * a fifth, and with 32 the call to submit them is still a hundredth of the cost. */
enum { KJ__WRITES_MAX = 32 };

struct kj__write {
    int fd;
    const uint8_t *bytes;
    uint32_t len;
    int result; /* bytes sent, or a negative errno */
};

struct kj__writer {
    struct kj__uring *uring; /* NULL: send() */
    size_t count;
    struct kj__write writes[KJ__WRITES_MAX];
};

/* KJ_IO_AUTO takes io_uring where it can be had. KJ_EUNSUPPORTED: KJ_IO_URING was asked for, and
 * the kernel does not allow it or the build has no liburing. */
enum kj_status kj__writer_init(struct kj__writer *writer, enum kj_io io);
void kj__writer_fini(struct kj__writer *writer);

/* A socket that will be written to, and one that will be closed next. */
void kj__writer_register(struct kj__writer *writer, int fd);
void kj__writer_forget(struct kj__writer *writer, int fd);

static inline bool kj__writer_is_full(const struct kj__writer *writer)
{
    return writer->count == KJ__WRITES_MAX;
}

/* The bytes must stay until the run. */
static inline void kj__writer_add(struct kj__writer *writer, int fd, const uint8_t *bytes,
                                  uint32_t len)
{
    writer->writes[writer->count++] = (struct kj__write){.fd = fd, .bytes = bytes, .len = len};
}

/* Makes the sends and fills in their results. The caller reads them and sets count to 0. */
void kj__writer_run(struct kj__writer *writer);

/* What KJ_IO_AUTO would come to here, for people. */
const char *kj__writer_name(const struct kj__writer *writer);

#endif
