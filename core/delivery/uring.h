/* uring.h - a batch of sends through io_uring.
 *
 * Every send is tried at once and never waits: it completes within the call that submits it,
 * whole without a word, or short with what it came to (MSG_DONTWAIT and MSG_WAITALL together,
 * with IOSQE_CQE_SKIP_SUCCESS). So no memory is lent to the kernel beyond the call.
 *
 * Without liburing at build time a ring cannot be had, and the calls do nothing.
 */
#ifndef KJ_DELIVERY_URING_H
#define KJ_DELIVERY_URING_H

#include "delivery/writer.h"

struct kj__uring;

/* NULL when the kernel or the build does not offer it. */
struct kj__uring *kj__uring_new(void);
void kj__uring_free(struct kj__uring *uring); /* NULL is fine */

/* Saves the kernel from looking the descriptor up at each send. Where there is no room for it
 * in the table, sends work all the same. */
void kj__uring_register(struct kj__uring *uring, int fd);

/* Before the close, which would leave the socket open for the table's sake. */
void kj__uring_forget(struct kj__uring *uring, int fd);

/* Makes the sends, in order, and fills in their results. Returns how many the kernel took: when
 * it refuses, the ring still holds the rest and is only good for kj__uring_free. */
size_t kj__uring_send(struct kj__uring *uring, struct kj__write *writes, size_t count);

#endif
