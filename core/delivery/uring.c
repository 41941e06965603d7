/* uring.c - see uring.h. */
#include "delivery/uring.h"

#ifdef KUJATA_HAS_URING

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { FILES_MAX = 1 << 18 };

struct kj__uring {
    struct io_uring ring;
    unsigned file_count; /* of the table: a socket's place is its descriptor's number */
    bool *is_registered; /* one for each place */
};

/* The table may be as large as the process may have descriptors. */
static bool make_table(struct kj__uring *uring)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return false;
    }
    uring->file_count = limit.rlim_cur < FILES_MAX ? (unsigned)limit.rlim_cur : FILES_MAX;
    uring->is_registered = calloc(uring->file_count, sizeof *uring->is_registered);
    return uring->is_registered &&
           io_uring_register_files_sparse(&uring->ring, uring->file_count) == 0;
}

/* Linux 5.19 and 6.0 skip completions and try whole sends too, but may say "again" of a send of
 * which a part had left: its bytes would go twice. An operation that came with 6.1 tells. */
static bool reports_short_sends(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool does = probe && io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC);
    io_uring_free_probe(probe);
    return does && ring->features & IORING_FEAT_CQE_SKIP;
}

struct kj__uring *kj__uring_new(void)
{
    struct kj__uring *uring = calloc(1, sizeof *uring);
    if (!uring) {
        return NULL;
    }
    if (io_uring_queue_init(KJ__WRITES_MAX, &uring->ring, 0) != 0) {
        free(uring);
        return NULL;
    }
    if (!reports_short_sends(&uring->ring) || !make_table(uring)) {
        kj__uring_free(uring);
        return NULL;
    }
    return uring;
}

void kj__uring_free(struct kj__uring *uring)
{
    if (uring) {
        io_uring_queue_exit(&uring->ring);
        free(uring->is_registered);
        free(uring);
    }
}

void kj__uring_register(struct kj__uring *uring, int fd)
{
    if ((unsigned)fd < uring->file_count) {
        uring->is_registered[fd] = io_uring_register_files_update(&uring->ring, (unsigned)fd, &fd,
                                                                  1) == 1;
    }
}

void kj__uring_forget(struct kj__uring *uring, int fd)
{
    if ((unsigned)fd < uring->file_count && uring->is_registered[fd]) {
        int none = -1;
        /* Before 6.4 the table lets go of it only after a second: the peer hears of the end now. */
        shutdown(fd, SHUT_RDWR);
        io_uring_register_files_update(&uring->ring, (unsigned)fd, &none, 1);
        uring->is_registered[fd] = false;
    }
}

static void prepare(const struct kj__uring *uring, struct io_uring_sqe *sqe,
                    const struct kj__write *write, size_t index)
{
    bool is_registered = (unsigned)write->fd < uring->file_count && uring->is_registered[write->fd];
    io_uring_prep_send(sqe, write->fd, write->bytes, write->len,
                       MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS | (is_registered ? IOSQE_FIXED_FILE : 0u));
    io_uring_sqe_set_data64(sqe, index);
}

/* Takes the completions there are: of sends that did not go through whole. */
static void take_results(struct kj__uring *uring, struct kj__write *writes)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned taken = 0;
    io_uring_for_each_cqe(&uring->ring, head, cqe)
    {
        writes[io_uring_cqe_get_data64(cqe)].result = cqe->res;
        taken++;
    }
    io_uring_cq_advance(&uring->ring, taken);
}

size_t kj__uring_send(struct kj__uring *uring, struct kj__write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        writes[i].result = (int)writes[i].len;
        prepare(uring, io_uring_get_sqe(&uring->ring), &writes[i], i);
    }
    size_t submitted = 0;
    int result = 0;
    while (submitted < count && (result >= 0 || result == -EINTR)) {
        result = io_uring_submit(&uring->ring);
        submitted += result > 0 ? (size_t)result : 0;
        take_results(uring, writes);
    }
    return submitted;
}

#else /* built without liburing */

struct kj__uring *kj__uring_new(void)
{
    return NULL;
}

void kj__uring_free(struct kj__uring *uring)
{
    (void)uring;
}

void kj__uring_register(struct kj__uring *uring, int fd)
{
    (void)uring;
    (void)fd;
}

void kj__uring_forget(struct kj__uring *uring, int fd)
{
    (void)uring;
    (void)fd;
}

size_t kj__uring_send(struct kj__uring *uring, struct kj__write *writes, size_t count)
{
    (void)uring;
    (void)writes;
    (void)count;
    return 0;
}

#endif
