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

/* At once. Few, where what arrives meanwhile is to be looked at often, since it goes out in the
 * writes that are still to come: 128 made a burst of events dearer by a fifth. Many, where nothing
 * arrives: one event to 1,000 sessions was dearer by a tenth and more with 32. */
enum { KJ__WRITES_FEW = 32, KJ__WRITES_MAX = 1024, KJ__WRITES_QUIET = 16384 };

struct kj__write {
    int fd;
    const uint8_t *bytes;
    uint32_t len;
    int result; /* bytes sent, or a negative errno */
};

struct kj__writer {
    struct kj__uring *uring; /* NULL: send() */
    size_t count;
    size_t limit; /* of the batch: see kj__writer_pace */
    size_t quiet; /* writes made since something arrived during a batch */
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
    return writer->count >= writer->limit;
}

/* After a batch of `count`: the next ones are small once something has arrived during one, and
 * large when for a good while nothing has. */
static inline void kj__writer_pace(struct kj__writer *writer, size_t count, bool has_more_come)
{
    writer->quiet = has_more_come ? 0 : writer->quiet + count;
    writer->limit = writer->quiet < KJ__WRITES_QUIET ? KJ__WRITES_FEW : KJ__WRITES_MAX;
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
