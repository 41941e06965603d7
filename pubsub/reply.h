/* reply.h - the way back from a received publication to who waits for its answer.
 *
 * A publication may be kept, and answered, by any thread and for longer than its backend lives.
 * So what leads back is a desk, which outlives the backend and knows when it is gone. Lock
 * order: a desk's, then those of sending.
 */
#ifndef KJ_PUBSUB_REPLY_H
#define KJ_PUBSUB_REPLY_H

#include <kujata/publication.h>
#include <stdint.h>

struct kj__desk;
struct kj__hub;

/* Sends an answer, whose topic is the address. Never waits. Runs with the desk's lock held. */
typedef enum kj_status (*kj__send_answer)(struct kj__hub *hub, struct kj_publication *answer);

/* NULL when there is no memory. */
struct kj__desk *kj__desk_new(struct kj__hub *hub, kj__send_answer send);

/* The hub is not used from here on, and its reference is given up. NULL is fine. */
void kj__desk_close(struct kj__desk *desk);

/* Gives a publication, not shared yet, its way back. One that asks for no answer is left as it
 * is. KJ_ENOMEM.                                                        [any thread] */
enum kj_status kj__desk_attach(struct kj__desk *desk, struct kj_publication *publication,
                               const char *address);

/* A handler is about to be called: acknowledges what is to be acknowledged, and starts the time
 * for an answer. */
void kj__reply_begin(struct kj_publication *publication, uint32_t timeout_ms);

#endif
