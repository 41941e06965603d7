/* audience.h - the connections of one shard that get the same frames.
 *
 * A frame is appended to the audience's log, once for all its members; each member has a
 * position in the log. At the end of a round the members are gone through in order and each is
 * written everything it has not had, joined in one call. What came in meanwhile goes to those
 * whose turn is still to come, so a backlog makes writes rarer by itself, and nothing of it is
 * done for each frame and member: no queue, no reference, no allocation.
 *
 * A member whose socket does not take everything gets the rest through its own queue (see
 * connection.h), and then its share of the log too, until the queue is empty again.
 *
 * Threads: the shard's.
 */
#ifndef KJ_DELIVERY_AUDIENCE_H
#define KJ_DELIVERY_AUDIENCE_H

#include "base/list.h"
#include "delivery/out_frame.h"
#include "delivery/writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj__audience;
struct kj__connection;
struct kj__shard;

/* A connection's place in an audience; the owner's memory. */
struct kj__seat {
    struct kj__connection *connection;
    struct kj__audience *audience; /* NULL: not seated */
    struct kj__seat *next;         /* of the same connection */
    uint32_t index;                /* in the audience's members */
};

/* What a flush touches of a member. */
struct kj__member {
    struct kj__seat *seat;
    int target;        /* see kj__connection_target */
    uint32_t position; /* of the next frame it is to get; compared modulo 2^32 */
};

struct kj__audience {
    struct kj__shard *shard;
    struct kj__list behind_link; /* in the shard's list of audiences with members behind */
    struct kj__member *members;  /* in no order */
    size_t count, capacity;
    struct kj__out_frame **log; /* references; the frame at position p is log[p - begin] */
    uint32_t log_capacity;
    uint32_t begin, end; /* positions */
    uint32_t carried;    /* frames that were under way in the last flush */
    bool is_shared;      /* some member has a seat elsewhere too: see kj__audience_flush */
    struct kj__list flushing_link; /* in the shard's list of those whose writes are under way */
};

/* A run of an audience's frames as one piece of memory. */
struct kj__piece {
    const struct kj__audience *audience;
    uint32_t from, to; /* positions */
    const uint8_t *bytes;
    uint32_t len;
};

/* The direct writes of a shard that are made together: whose they are, and what each gets. */
struct kj__batch {
    size_t count; /* as the writer's */
    struct kj__seat *seats[KJ__WRITES_MAX];
    struct kj__piece pieces[KJ__WRITES_MAX];
    size_t joined; /* bytes used of the shard's joined_frames */
    size_t sealed; /* and of its sealed_records */
};

void kj__audience_init(struct kj__audience *audience, struct kj__shard *shard);

/* Without members. */
void kj__audience_fini(struct kj__audience *audience);

/* From now on the connection, which is open, gets what is appended. False when there is no
 * memory. */
bool kj__audience_seat(struct kj__audience *audience, struct kj__seat *seat,
                       struct kj__connection *connection);

/* What was appended so far and has not left goes to the connection's queue, or counts as
 * dropped when it is no longer open. A seat that is not taken is fine. */
void kj__seat_leave(struct kj__seat *seat);

/* Moves what the member has not had from the log to its queue. */
void kj__seat_settle(struct kj__seat *seat);

/* Of what was appended last, `count` frames are not for this member. */
void kj__seat_skip(struct kj__seat *seat, uint32_t count);

/* How the member is to be written to: see kj__connection_target. */
void kj__seat_set_target(struct kj__seat *seat, int target);

/* Adds a frame for every member, by reference. False when there is no memory. */
bool kj__audience_append(struct kj__audience *audience, struct kj__out_frame *frame);

/* Goes over all members once, in writes that the shard's audiences share: the last of them leave
 * with the finish, unless a member might get a second write then, which must not start before it
 * is known how much of the first has left. Some members may be behind again at the finish, by
 * what arrived meanwhile: their audience is in the shard's list once more. No jobs may run while
 * writes are under way. */
void kj__audience_flush(struct kj__audience *audience);
void kj__audience_finish_flushes(struct kj__shard *shard);

/* Between the two. An audience may lose all its members meanwhile, but must not be freed. */
static inline bool kj__audience_is_flushing(const struct kj__audience *audience)
{
    return !kj__list_is_empty(&audience->flushing_link);
}

#endif
