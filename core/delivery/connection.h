/* connection.h - one socket on a shard: frames in, frames out, closing, deadlines.
 *
 * Most are websockets. The protocol of a stream has packets of its own on TCP instead: no frames,
 * no pings and no close frames of ours; what it sends is frames of bytes as they are
 * (kj__out_frame_new_bytes).
 *
 * A protocol embeds `struct kj__connection` first in its own session struct. The shard that
 * owns a connection is the only thread that touches it; from elsewhere go the calls marked
 * [any thread], which post to the shard.
 *
 * Life: prepared (before the 101: announced to the shard, which lets the protocol hold what
 * is published meanwhile), open (its socket is attached), closing (our close frame is under
 * way; input is thrown away), closed. References keep the memory: one is the shard's from
 * announce to closed, one the creator's.
 */
#ifndef KJ_DELIVERY_CONNECTION_H
#define KJ_DELIVERY_CONNECTION_H

#include "base/counters.h"
#include "base/list.h"
#include "delivery/audience.h"
#include "delivery/frame.h"
#include "delivery/out_queue.h"
#include "delivery/tls.h"
#include "delivery/wheel.h"

#include <kujata/server.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__connection;
struct kj__delivery;
struct kj__shard;

/* What a stream says of the bytes at its front: how long the packet is that they begin. */
enum {
    KJ__PACKET_MORE = 0,    /* there is too little to tell */
    KJ__PACKET_INVALID = -1 /* it is none: the connection is closed */
};

/* How one endpoint speaks. All run on the shard; none may block. */
struct kj__protocol {
    const char *name;
    /* NULL: websocket messages. Else the length of the packet at the front of `bytes`, of which
     * there is at least one, header included, or one of the two above. Packets longer than
     * message_bytes close the connection. Each whole one goes to on_message, as binary. */
    int64_t (*packet_len)(const struct kj__connection *connection, const uint8_t *bytes,
                          size_t len);
    /* The socket is there. Anything held since the announcement may be sent now. */
    void (*on_open)(struct kj__connection *connection);
    /* A whole message; `data` may be changed. */
    void (*on_message)(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len);
    /* It was open, and its close begins: what is sent from here on does not leave. on_closed
     * follows once the peer has done its part, or has had time for it. May come within a send, or
     * another of these calls, so it must do neither. NULL: unused. */
    void (*on_closing)(struct kj__connection *connection);
    /* The connection has left its shard; `was_open` says whether on_open ran. Never within another
     * of these calls nor within a send; what is sent in between counts as dropped. */
    void (*on_closed)(struct kj__connection *connection, bool was_open);
    /* A data frame was dropped for want of room; and, once after such drops, there is room again
     * for a word about it, which goes out with kj__connection_send_notice. Both may be NULL. */
    void (*on_dropped)(struct kj__connection *connection);
    void (*on_room)(struct kj__connection *connection);
    /* With `waits_for_room` set: everything queued has left, and more may be sent. NULL: unused. */
    void (*on_drained)(struct kj__connection *connection);
    /* It is open, and a ping is about to be sent. NULL: unused. */
    void (*on_ping_due)(struct kj__connection *connection);
    /* The time set by kj__connection_set_expiry has come: close it. NULL: closed with 1008. */
    void (*on_expired)(struct kj__connection *connection);
    /* The last reference is gone: free the memory. Any thread. */
    void (*release)(struct kj__connection *connection);
};

/* Why a connection ends; each has its counter. */
enum kj__close_cause {
    KJ__CAUSE_NONE = 0,
    KJ__CAUSE_PEER,
    KJ__CAUSE_PROTOCOL_ERROR,
    KJ__CAUSE_OVER_LIMIT,
    KJ__CAUSE_BAD_CONFIG,
    KJ__CAUSE_UNAUTHORIZED,
    KJ__CAUSE_PONG_TIMEOUT,
    KJ__CAUSE_WRITE_STALL,
    KJ__CAUSE_QUEUE_FULL,
    KJ__CAUSE_SERVER,
    KJ__CAUSE_EXPIRED,
    KJ__CAUSE_IO_ERROR,
};

/* What the connections of one endpoint have in common. */
struct kj__endpoint {
    const struct kj__protocol *protocol;
    uint32_t message_bytes, message_fragments;
    uint32_t queue_bytes, queue_messages;
    enum kj_queue_policy queue_policy;
    uint32_t ping_interval_ms, pong_timeout_ms, write_stall_ms, close_timeout_ms;
    bool input_is_life;       /* any whole message counts as a pong; always so for a stream */
    const char *token_cookie; /* see kj_session_token; NULL: none */
    void *ctx;                /* the protocol's */
};

enum kj__connection_state {
    KJ__CONNECTION_PREPARED = 0,
    KJ__CONNECTION_OPEN,
    KJ__CONNECTION_CLOSING, /* a close frame is queued or under way */
    KJ__CONNECTION_SHUT,    /* it has left and our side is shut; waiting for the peer's end */
    KJ__CONNECTION_CLOSED,
};

struct kj__connection {
    _Atomic uint32_t refs;
    int fd;              /* -1 while prepared and when closed */
    struct kj__tls *tls; /* NULL: plain, prepared or closed */
    uint8_t state;
    uint8_t cause; /* enum kj__close_cause, once decided */
    bool check_utf8;
    bool is_dirty;        /* in the shard's list to flush */
    bool waits_for_write; /* registered for writability */
    bool is_deaf;         /* not registered for readability: reading waits for output */
    bool has_dropped;     /* since the protocol's on_room ran last */
    bool waits_for_room;  /* set by the protocol until its on_drained has run */
    bool is_listed, was_open;
    bool is_announced;        /* set before the announcement, by the thread that makes it */
    uint32_t list_index;      /* in the shard's connections */
    uint16_t late_close_code; /* of the close that is to begin */
    uint8_t late_close_cause;
    struct kj__shard *shard;
    const struct kj__endpoint *endpoint;
    struct kj__seat *seats; /* in the audiences it belongs to; only while open */
    union {
        struct kj__frame_reader *reader; /* of a message that is not whole yet; else NULL */
        struct kj__buffer *packet;       /* the same of a stream */
    } partial;
    struct kj__out_queue out;
    size_t waiting_bytes; /* of `out`, as the shard's sums have it */
    uint32_t waiting_messages;
    struct kj__list round_link; /* in the shard's list of the prepared, dirty, ended or closed */
    struct kj__wheel_entry timer;
    uint64_t next_ping_ms, last_pong_ms;
    uint64_t stalled_since_ms;  /* 0 while bytes leave */
    uint64_t close_deadline_ms; /* of the close under way; while open, when to begin one, or 0 */
    _Atomic int64_t expires_ms; /* wall clock, since 1970; 0: never */
};

/* Prepares a connection on a shard of `delivery`, or on one that is given, with one reference for
 * the caller. */
void kj__connection_init(struct kj__connection *connection, struct kj__delivery *delivery,
                         const struct kj__endpoint *endpoint, bool check_utf8);
void kj__connection_init_on(struct kj__connection *connection, struct kj__shard *shard,
                            const struct kj__endpoint *endpoint, bool check_utf8);

struct kj__connection *kj__connection_ref(struct kj__connection *connection); /* [any thread] */
void kj__connection_unref(struct kj__connection *connection);                 /* [any thread] */

/* The three steps of a handshake, in order: announce before the 101; then attach with the
 * socket and its TLS (NULL: plain), both taken in any case, or abandon. False: the shard is
 * gone.                                                                [any thread] */
bool kj__connection_announce(struct kj__connection *connection);
bool kj__connection_attach(struct kj__connection *connection, int fd, struct kj__tls *tls);
void kj__connection_abandon(struct kj__connection *connection);

/* Until when it may stay, by the wall clock in milliseconds since 1970; 0: for ever. A clock that
 * is set is noticed within a ping interval.                            [any thread] */
void kj__connection_set_expiry(struct kj__connection *connection, int64_t expires_ms);

/* Closes with a code, dropping queued data. `reason` is static or NULL.  [any thread] */
void kj__connection_close_later(struct kj__connection *connection, uint16_t code,
                                const char *reason, enum kj__close_cause cause);

/* ---- on the shard ---- */

enum kj__send_result {
    KJ__SENT,         /* queued; leaves at the end of the round */
    KJ__SEND_DROPPED, /* the queue is full and the policy dropped this or an older frame */
    KJ__SEND_CLOSED,  /* the connection is closing, or the policy closed it */
};

/* Queues a frame for this connection alone, taking a reference of its own, behind all its
 * audiences have for it; from on_room, behind what is queued already. Counts what it drops. */
enum kj__send_result kj__connection_send(struct kj__connection *connection,
                                         struct kj__out_frame *frame);

/* Whether a frame of `len` bytes leaves at least half of what may wait for the connection free, for
 * what comes without being asked. True for any frame while nothing waits. */
bool kj__connection_has_ample_room(const struct kj__connection *connection, size_t len);

/* For on_room: queues a frame where the gap is, ahead of all that is still to be queued, and
 * whatever the limits. False when there is no memory. */
bool kj__connection_send_notice(struct kj__connection *connection, struct kj__out_frame *frame);

/* Closes: queued data is dropped (`flush_first`: sent first), then the close frame, then the
 * end of the socket. Idempotent: the first cause stands. */
void kj__connection_close(struct kj__connection *connection, uint16_t code, const char *reason,
                          enum kj__close_cause cause, bool flush_first);

/* The same without a reason, once `delay_ms` have passed; what the peer says until then is not
 * heard, and what is sent to it is dropped, but for control frames. */
void kj__connection_close_late(struct kj__connection *connection, uint16_t code,
                               enum kj__close_cause cause, uint32_t delay_ms);

/* Ends it at once, without a word to the peer. */
void kj__connection_abort(struct kj__connection *connection, enum kj__close_cause cause);

void kj__connection_on_readable(struct kj__connection *connection);
void kj__connection_on_deadline(struct kj__connection *connection);

/* Writes what is queued, as far as the socket takes it. */
void kj__connection_flush(struct kj__connection *connection);

/* ---- between the files of this folder ---- */

/* How an audience is to write to it: straight to the socket while nothing is queued, which is its
 * descriptor, or in TLS a number below the queue's; else through the queue. */
enum { KJ__TARGET_QUEUE = -1 };
int kj__connection_target(const struct kj__connection *connection);

/* From a descriptor to the number that stands for it in TLS, and back. */
static inline int kj__sealed_target(int fd)
{
    return KJ__TARGET_QUEUE - 1 - fd;
}

/* kj__connection_send without a look at the audiences. */
enum kj__send_result kj__connection_enqueue(struct kj__connection *connection,
                                            struct kj__out_frame *frame);

/* `written` bytes of this frame have left: the rest is queued, whatever the limits. False when
 * that ended the connection. */
bool kj__connection_enqueue_rest(struct kj__connection *connection, struct kj__out_frame *frame,
                                 size_t written);

/* The socket did not take these bytes of a sealed record, whose frames count as sent: they leave
 * next. May end the connection. */
void kj__connection_keep_sealed(struct kj__connection *connection, const uint8_t *bytes,
                                size_t len);

/* The socket takes no more for now. */
void kj__connection_note_blocked(struct kj__connection *connection);

/* Everything has left, the close frame last. */
void kj__connection_shut_down(struct kj__connection *connection);

/* Sets the next deadline, by the state of things. */
void kj__connection_arm_timer(struct kj__connection *connection);

#endif
