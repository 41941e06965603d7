/* healing.h - the protocol of healing2021's chat: users who write to each other, one by one.
 *
 * Clients send the word `heartbeat` and bare JSON messages, and hear words and bare JSON; what was
 * sent while a user was away comes at login, before the greeting. See docs/healing.md for the wire,
 * and for what differs. A user is a number from 1 on, in decimal digits.
 */
#ifndef KUJATA_HEALING_H
#define KUJATA_HEALING_H

#include <jansson.h>
#include <kujata/counter.h>
#include <kujata/gateway.h>
#include <kujata/messages.h>
#include <kujata/status.h>
#include <stdbool.h>

struct kj_healing;

enum {
    KJ_HEALING_USER_SIZE = 20,  /* of a user's digits, with the terminator */
    KJ_HEALING_NAME_SIZE = 128, /* of a name that is shown, with the terminator */
};

/* Zero means the default given. The functions run on threads that may wait, several at once. */
struct kj_healing_options {
    /* The cookie that says who a client is; copied. NULL: the claim "sub" that the server's
     * authenticators made of the handshake is the user, and nobody reads a history. */
    const char *cookie;
    /* Whose a cookie is; false: nobody's. `session` is the one that it is to let in, whose expiry
     * or credential may be set (session.h); NULL: it asks for a history. NULL for all: its value is
     * the user. That is for trials: everybody is who they say they are. */
    bool (*user_of)(const char *cookie, struct kj_session *session, char user[KJ_HEALING_USER_SIZE],
                    void *ctx);
    bool (*user_exists)(const char *user, void *ctx); /* NULL: every one does */
    /* What a user is called, in UTF-8; false: by the digits. NULL: all by the digits. */
    bool (*name_of)(const char *user, char name[KJ_HEALING_NAME_SIZE], void *ctx);
    /* Whether a user that is not on this node is on another one; asked before a message is
     * published and, where it was and the message is kept, behind that. NULL: not asked. */
    bool (*is_elsewhere)(const char *user, void *ctx);
    void *ctx;

    struct kj_messages *messages;     /* what was sent, and waits; NULL: nothing is kept */
    bool is_alone;                    /* there are no other nodes: who is not here is away */
    struct kj_protocol_limits limits; /* queue_bytes 0: 8 MiB, so that a mailbox fits */
};

/* KJ_ENOMEM. */
enum kj_status kj_healing_new(const struct kj_healing_options *options,
                              struct kj_healing **healing);

/* For kj_server_mount; healing2021's path is "/api/ws". */
struct kj_protocol kj_healing_protocol(struct kj_healing *healing);

/* Adds GET PATH/history to the public listener and, with `has_api`, POST PATH/message and POST
 * PATH/system to the API listener; once the protocol is mounted and before kj_server_start. As
 * kj_server_add_route; KJ_EINVAL for a server on which nothing is mounted. */
enum kj_status kj_healing_add_routes(struct kj_healing *healing, struct kj_server *server,
                                     const char *path, bool has_api, struct kj_error *error);

enum kj_healing_state {
    KJ_HEALING_OK = 0,  /* it was kept, or went to where the user is */
    KJ_HEALING_NO_USER, /* there is no such receiver */
    KJ_HEALING_OFFLINE, /* the receiver is away, and nothing is kept */
    KJ_HEALING_FAILED,  /* it could not be kept or published: nobody has it */
};

/* Sends what business code has to say, once something is mounted. It waits for the disk, so not on
 * a shard. KJ_EINVAL for what is no such message, KJ_ENOMEM; else *state says what became of it.
 *                                                                      [any thread]
 * A user's: fromUser, toUser and message; user (where a recording is), song and songId if there are
 * any. */
enum kj_status kj_healing_send(struct kj_healing *healing, struct kj_gateway *gateway,
                               const json_t *message, enum kj_healing_state *state);
/* The system's: uid, and what else it has to say. */
enum kj_status kj_healing_tell(struct kj_healing *healing, struct kj_gateway *gateway,
                               const json_t *message, enum kj_healing_state *state);

/* A kj_counter_source's function, its ctx the protocol.                [any thread] */
void kj_healing_counters(void *healing, kj_counter_visit visit, void *ctx);

/* After the server. NULL is fine. */
void kj_healing_free(struct kj_healing *healing);

#endif
