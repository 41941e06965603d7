/* client.h - one client of a gateway; what users see of it is in kujata/gateway.h. */
#ifndef KJ_GATEWAY_CLIENT_H
#define KJ_GATEWAY_CLIENT_H

#include "gateway/gateway.h"
#include "gateway/parcel.h"
#include "gateway/topic.h"

/* A closing that others ask for. */
struct kj__client_end {
    struct kj__job job;
    struct kj__list link; /* lock: in the gateway's list of those to be ended */
    bool is_wanted;       /* lock: it was there once */
};

struct kj_client {
    struct kj_session session; /* first: the shard knows it as this */
    struct kj__mount *mount;
    uint64_t id;
    bool may_stay;         /* the authenticators accepted its handshake, or need not */
    bool is_authenticated; /* they accepted a token of its, then or later */
    bool is_admitted, is_authenticating, is_in_gap, is_listed;
    bool is_closing;  /* lock: its close has begun */
    uint32_t dropped; /* pushes it was not told of */
    uint32_t excess;  /* messages that came too fast of late */
    struct kj__bucket messages;
    struct kj__membership **memberships;
    uint32_t membership_count, membership_capacity, room_count;
    char *user, *device; /* lock, to be changed; NULL: none */
    int64_t login_ms;    /* lock: when it got its user; no two of a node are equal */
    struct kj__client_end end;
    struct kj__chore handshake; /* armed until it was let in */
    void *data;
};

extern const struct kj__protocol kj__client_protocol, kj__client_stream_protocol;

/* A prepared client, with one reference for the caller, on an HTTP worker or a listener's thread.
 * The place it has in the limits is given back by the gateway from now on. NULL when there is no
 * memory. */
struct kj_client *kj__client_new(struct kj__mount *mount, const struct kj__session_origin *origin);

/* One message as the clients of a mount get it. NULL when there is no memory. */
struct kj__out_frame *kj__client_frame_new(const struct kj__mount *mount, enum kj_frame kind,
                                           const void *bytes, size_t len);

/* A place among the connections of a stream that has a limit; false: there is none left. */
bool kj__mount_take_place(struct kj__mount *mount);
void kj__mount_give_place(struct kj__mount *mount);

static inline struct kj_client *kj__client_of(struct kj__connection *connection)
{
    return (struct kj_client *)connection;
}

static inline struct kj__gateway_side *kj__side_of(const struct kj_client *client)
{
    struct kj_gateway *gateway = client->mount->gateway;
    return &gateway->sides[client->session.connection.shard - gateway->options.delivery->shards];
}

/* Its form of pushes. */
static inline size_t kj__client_form(const struct kj_client *client)
{
    return client->mount->first_form + kj_client_encoding(client);
}

/* Ends it with a word of its protocol's first. */
void kj__client_finish(struct kj_client *client, uint16_t code, const char *reason);

/* Whether it is to get a push: see `wants` of a protocol. */
static inline bool kj__client_wants(struct kj_client *client, const struct kj_push *push)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    return !protocol->wants || push->parts.op == 0 || protocol->wants(client, push, protocol->ctx);
}

/* Gives it the messages of a push to itself. */
void kj__client_deliver(struct kj_client *client, struct kj__parcel *parcel);

/* Makes an open client one of a topic that it is not in. KJ_ENOMEM, KJ_ECLOSED. */
enum kj_status kj__client_enter(struct kj_client *client, enum kj_topic_kind kind,
                                const char *name);

/* ---- user.c ---- */

/* A node heard of a new client of a user.                          [a thread of the backend] */
void kj__users_on_login(struct kj__topic *topic, const struct kj_push *push);

/* For the keeper: ends the clients that were replaced; lock held, but while one is posted. */
void kj__users_end_replaced(struct kj_gateway *gateway);

#endif
