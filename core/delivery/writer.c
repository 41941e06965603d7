/* writer.c - see writer.h. */
#include "delivery/writer.h"

#include "base/log.h"
#include "delivery/uring.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kj_status kj__writer_init(struct kj__writer *writer, enum kj_io io)
{
    writer->count = 0;
    writer->limit = KJ__WRITES_FEW;
    writer->quiet = 0;
    writer->uring = io == KJ_IO_EPOLL ? NULL : kj__uring_new();
    return io == KJ_IO_URING && !writer->uring ? KJ_EUNSUPPORTED : KJ_OK;
}

void kj__writer_fini(struct kj__writer *writer)
{
    kj__uring_free(writer->uring);
    writer->uring = NULL;
}

void kj__writer_register(struct kj__writer *writer, int fd)
{
    if (writer->uring) {
        kj__uring_register(writer->uring, fd);
    }
}

void kj__writer_forget(struct kj__writer *writer, int fd)
{
    if (writer->uring) {
        kj__uring_forget(writer->uring, fd);
    }
}

/* send() is a point where a thread may be cancelled, and readies itself for that with two locked
 * instructions around each call. Nobody cancels a shard. */
static ssize_t send_now(const struct kj__write *write)
{
    return syscall(SYS_sendto, write->fd, write->bytes, (size_t)write->len,
                   MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}

static void send_each(struct kj__writer *writer, size_t first)
{
    for (size_t i = first; i < writer->count; i++) {
        struct kj__write *write = &writer->writes[i];
        ssize_t sent = send_now(write);
        write->result = sent < 0 ? -errno : (int)sent;
    }
}

void kj__writer_run(struct kj__writer *writer)
{
    size_t done = 0;
    if (writer->uring) {
        done = kj__uring_send(writer->uring, writer->writes, writer->count);
        if (done < writer->count) {
            kj__log(KJ__LOG_ERROR, "delivery",
                    "io_uring took no more sends; going on without it (--io epoll)");
            kj__writer_fini(writer);
        }
    }
    send_each(writer, done);
}

const char *kj__writer_name(const struct kj__writer *writer)
{
    return writer->uring ? "io_uring" : "epoll";
}
