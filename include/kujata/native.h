/* native.h - Kujata's own protocol for clients of a gateway: rooms and messages in JSON or msgpack.
 *
 * docs/rooms.md describes the wire. A client's user is the claim "sub" of its token, and its device
 * the claim "device", or the parameter of that name in its URL or in AUTH.
 */
#ifndef KUJATA_NATIVE_H
#define KUJATA_NATIVE_H

#include <jansson.h>
#include <kujata/counter.h>
#include <kujata/gateway.h>
#include <kujata/messages.h>
#include <kujata/pubsub.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj_native;
struct kj_presence_board; /* presence.h */

/* A request of a client; borrowed for the call. */
struct kj_native_request {
    const char *type;
    json_t *id;         /* NULL: none */
    const json_t *data; /* an object; NULL: none */
};

/* Zero means the default given. */
struct kj_native_options {
    bool is_open;            /* lets in who shows no token, as nobody in particular */
    bool may_send_from_away; /* to rooms it is not in; default: only members send, and see them */
    uint32_t told_members;   /* who joins and leaves a room is told in it while it has so many on
                              * the node; 0: 100 */
    bool tells_nobody;       /* not at all */
    uint32_t summary_ms;     /* a room with more members is told how many came and went, so often at
                              * most; 0: 1,000 */
    enum kj_user_policy user_policy;
    enum kj_slow_policy slow_rooms, slow_users;
    struct kj_batching batching;
    struct kj_protocol_limits limits;

    /* Whether a client may join a room, on its shard; must not block. NULL: every one that was let
     * in. */
    bool (*may_join)(struct kj_client *client, const char *room, void *ctx);
    /* Whether it may send to a room or a user; asked last. NULL: it may. */
    bool (*may_send)(struct kj_client *client, enum kj_topic_kind kind, const char *name,
                     void *ctx);

    /* What is kept of what clients send; docs/messages.md says what that promises. */
    struct kj_messages *messages; /* NULL: nothing; else it outlives the server */
    bool keeps_mailboxes;         /* for users: until a client of the user acknowledges it */
    bool keeps_rooms;             /* what was said in rooms, for their members to look up */
    bool keeps_conversations;     /* what users said to each other, for both */
    bool tells_no_receipts;       /* default: who sent a message is told that it was acknowledged */
    uint32_t mailbox_window;      /* messages out of a mailbox that a client is sent before it has
                                   * acknowledged those before; 0: 50; at most 1,000 */

    bool is_alone; /* there are no other nodes: a user whom nobody here is, is offline */

    /* Whether there is such a user; asked before a message is kept or published, on a thread that
     * may wait, several at once. NULL: all there are names for. */
    bool (*user_exists)(const char *user, void *ctx);
    void *ctx;

    /* Who is there on all nodes, for QUERY and summaries; borrowed, started by the caller before
     * the server is. NULL: this node's figures. */
    struct kj_presence_board *presence;

    /* A request of a type that is not the protocol's own, of a client that was let in, on its
     * shard; must not block (see kj_client_work). It is to be answered, now or later, with
     * kj_native_answer_take or kj_native_refuse. NULL: it is refused with unknown_type. */
    void (*on_request)(struct kj_client *client, const struct kj_native_request *request,
                       void *ctx);
    void *request_ctx;
};

/* `options` may be NULL. KJ_ENOMEM. */
enum kj_status kj_native_new(const struct kj_native_options *options, struct kj_native **native);

/* For kj_server_mount. */
struct kj_protocol kj_native_protocol(struct kj_native *native);

/* Other nodes that keep messages: each keeps what its own clients send to users, asks the others
 * for what waits at a login, and keeps what theirs say in rooms and conversations. */
struct kj_native_nodes {
    struct kj_pubsub *pubsub; /* the server's; outlives the protocol */
    struct kj_gateway *gateway;
    const char *topic; /* copied; NULL: "messages" */
};

/* Once, after kj_server_mount and before kj_server_start, with mailboxes or histories. KJ_EINVAL
 * for a topic that is none, or what kj_pubsub_subscribe returned. */
enum kj_status kj_native_join_nodes(struct kj_native *native, const struct kj_native_nodes *nodes);

/* Between kj_server_stop and kj_server_free. Idempotent. */
void kj_native_leave_nodes(struct kj_native *native);

/* Keeps a push to a room or a user as what clients send is kept, and then publishes it: for what an
 * application says itself. KJ_EUNSUPPORTED where nothing of its kind is kept, else as
 * kj_messages_publish.                                            [a thread that may wait] */
enum kj_status kj_native_publish(struct kj_native *native, struct kj_gateway *gateway,
                                 const struct kj_push_options *push,
                                 struct kj_messages_receipt *receipt, size_t *reached);

/* Answers a request with OK, or with ERROR; on the client's shard. `id` is the request's, `data`
 * (may be NULL) is taken over. A client that is closed gets nothing. */
void kj_native_answer_take(struct kj_client *client, json_t *id, json_t *data);
void kj_native_refuse(struct kj_client *client, json_t *id, const char *code, const char *message);

/* What large rooms were told, and with messages what passed between nodes; a kj_counter_source's
 * function, its ctx the protocol.                                      [any thread] */
void kj_native_counters(void *native, kj_counter_visit visit, void *ctx);

/* After the server. NULL is fine. */
void kj_native_free(struct kj_native *native);

#endif
