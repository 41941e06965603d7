/* native.h - Kujata's own protocol for clients of a gateway: rooms and messages in JSON or msgpack.
 *
 * docs/rooms.md describes the wire. A client's user is the claim "sub" of its token, and its device
 * the claim "device", or the parameter of that name in its URL or in AUTH.
 */
#ifndef KUJATA_NATIVE_H
#define KUJATA_NATIVE_H

#include <kujata/gateway.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj_native;

/* Zero means the default given. */
struct kj_native_options {
    bool is_open;            /* lets in who shows no token, as nobody in particular */
    bool may_send_from_away; /* to rooms it is not in; default: only members send, and see them */
    uint32_t told_members;   /* who joins and leaves a room is told in it while it has so many on
                              * the node; 0: 100 */
    bool tells_nobody;       /* not at all */
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
    void *ctx;
};

/* `options` may be NULL. KJ_ENOMEM. */
enum kj_status kj_native_new(const struct kj_native_options *options, struct kj_native **native);

/* For kj_server_mount. */
struct kj_protocol kj_native_protocol(struct kj_native *native);

/* After the server. NULL is fine. */
void kj_native_free(struct kj_native *native);

#endif
