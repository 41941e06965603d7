/* gateway.h - clients and what is pushed to them: rooms, users, sessions, all.
 *
 * A *client* is one connection that speaks some protocol. A *push* is one message for the clients
 * of a *topic*: all, a room, a user, or one session. Whoever pushes need not know who is there:
 * the push goes through the pubsub backend to every node, and each gives it to its own clients.
 *
 * A *protocol* is a struct of functions and what it allows; kj_server_mount gives it a path for
 * websockets, kj_server_listen an address for streams: packets of its own on TCP or TLS. So a node
 * may speak several, and their clients meet in the same rooms. kujata/native.h is a ready one.
 *
 * Order: pushes of one thread to one topic reach each client in the order published. Each carries
 * the node it was published on and a number that counts that node's pushes to the topic, so that
 * a client sees what it has missed.
 *
 * Threads: a client belongs to one shard. Its protocol's functions run there and must not block,
 * and only they may call what is not marked [any thread].
 */
#ifndef KUJATA_GATEWAY_H
#define KUJATA_GATEWAY_H

#include <kujata/error.h>
#include <kujata/server.h>
#include <kujata/session.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_gateway;
struct kj_client;
struct kj_push;
struct kj_frames;
struct kj_topic_walk;

enum kj_topic_kind {
    KJ_TOPIC_ALL = 0, /* every client that was let in; has no name */
    KJ_TOPIC_ROOM,    /* those that joined it */
    KJ_TOPIC_USER,    /* those of one user */
    KJ_TOPIC_SESSION, /* one; its name is the text of its ID */
    KJ_TOPIC_DEVICE,  /* those of one device, whosever they are, of protocols that have
                       * device_topics */
};

enum { KJ_TOPIC_KIND_COUNT = 5 };

enum {
    KJ_NAME_MAX = 128,             /* bytes of the name of a room, user or device: UTF-8, no NUL */
    KJ_PUSH_BODY_MAX = 256 * 1024, /* bytes */
    KJ_CLIENT_ID_SIZE = 24,        /* of its text, with the terminator */
    KJ_PROTOCOL_ENCODINGS_MAX = 4,
};

/* Close codes of a websocket, besides those of RFC 6455. */
enum {
    KJ_CLOSE_UNAUTHORIZED = 4401, /* not let in, or not in time */
    KJ_CLOSE_KICKED = 4403,
    KJ_CLOSE_REPLACED = 4409, /* by a newer client of the same user */
};

/* 1 to KJ_NAME_MAX bytes of UTF-8.                                     [any thread] */
bool kj_name_is_valid(const char *name);

/* ---- clients ---- */

/* Unlike that of any other client of any node; 24 bits of it are the node's. [any thread] */
uint64_t kj_client_id(const struct kj_client *client);

/* "node-number" in hexadecimal digits, and back; false for another text. [any thread] */
void kj_client_id_format(uint64_t id, char text[KJ_CLIENT_ID_SIZE]);
bool kj_client_id_parse(const char *text, uint64_t *id);

/* Keeps a client in memory, also beyond its end.                       [any thread] */
struct kj_client *kj_client_ref(struct kj_client *client);
void kj_client_unref(struct kj_client *client); /* [any thread]; NULL is fine */

/* What the handshake said, and the claims that authenticators made of it; see session.h. Events
 * cannot be pushed to it. */
struct kj_session *kj_client_session(struct kj_client *client);

struct kj_gateway *kj_client_gateway(const struct kj_client *client); /* [any thread] */

/* Which of its protocol's encodings it reads: 0, or 1 when there are several and its Accept asked
 * for msgpack. */
unsigned kj_client_encoding(const struct kj_client *client);

/* Whether the session authenticators accepted its handshake, or a token of its in a message. */
bool kj_client_is_authenticated(const struct kj_client *client);

/* Whether it was let in. Until then it is in no topic but that of its session, and it has
 * handshake_ms. */
bool kj_client_is_admitted(const struct kj_client *client);

/* Lets it in. KJ_ENOMEM or KJ_ECLOSED, and KJ_OK for one that is in. */
enum kj_status kj_client_admit(struct kj_client *client);

/* Has the server's session authenticators look at a token, on a thread that may wait;
 * on_authenticated has the answer. KJ_EEXIST while they look at one already, KJ_EUNSUPPORTED when
 * the server has none, KJ_EFULL, KJ_ENOMEM, KJ_ECLOSED. */
enum kj_status kj_client_authenticate(struct kj_client *client, const char *token);

/* Says whose it is. Others of the user are closed with KJ_CLOSE_REPLACED, on this node and on
 * others, as user_policy of the protocol has it. KJ_EINVAL for a bad name, KJ_EEXIST when it has
 * another user, KJ_ELIMIT for too many topics on this node, KJ_ENOMEM, KJ_ECLOSED; `device` may be
 * NULL. */
enum kj_status kj_client_set_user(struct kj_client *client, const char *user, const char *device);
const char *kj_client_user(const struct kj_client *client);   /* NULL: none */
const char *kj_client_device(const struct kj_client *client); /* "": none */

/* KJ_OK also when it is, or is not, in the room. KJ_EINVAL for a bad name, KJ_ELIMIT for too many
 * rooms of the client or topics of the node, KJ_EREFUSED before it was let in, KJ_ENOMEM,
 * KJ_ECLOSED. What is published on this node from here on reaches it; of other nodes, once the
 * broker knows. */
enum kj_status kj_client_join(struct kj_client *client, const char *room);
enum kj_status kj_client_leave(struct kj_client *client, const char *room);
bool kj_client_is_in(const struct kj_client *client, const char *room);
size_t kj_client_rooms(const struct kj_client *client, void (*visit)(const char *room, void *ctx),
                       void *ctx); /* how many */

enum kj_frame {
    KJ_FRAME_TEXT = 0, /* UTF-8 */
    KJ_FRAME_BINARY,
};

/* Sends one message to it alone; over a stream the bytes as they are, whatever the kind of frame.
 * A client that has no room for it is closed with 1008. KJ_ENOMEM, or KJ_ECLOSED for one that is
 * gone, or turns out to be. */
enum kj_status kj_client_send(struct kj_client *client, enum kj_frame frame, const void *bytes,
                              size_t len);

/* Closes it once what it has to get has left; `reason` (may be NULL) is at most 123 bytes. A stream
 * just ends: its last word is the protocol's to send. */
void kj_client_close(struct kj_client *client, uint16_t code, const char *reason);

/* Counts a request of the client's that its protocol refused. */
void kj_client_count_refusal(struct kj_client *client);

/* Something that waits, for a disk or a peer. */
struct kj_work {
    void (*run)(void *item);                            /* on a thread that may wait */
    void (*done)(struct kj_client *client, void *item); /* then on the client's shard, also when it
                                                         * is closed; NULL: nothing */
    void (*release)(
        void *item); /* at the end, whether it ran or not; NULL: nothing  [any thread] */
    void *item;
};

/* Works of one client are run and done in the order given; those that wait when the server stops
 * are only released. KJ_EFULL with a counter when too many wait, KJ_ECLOSED or KJ_ENOMEM: then
 * the item stays the caller's. */
enum kj_status kj_client_work(struct kj_client *client, const struct kj_work *work);

/* The same for what waits for a server of somebody else's: on as many threads of their own, and in
 * an order of its own, so that one which hangs holds up no login and no disk. */
enum kj_status kj_client_work_outside(struct kj_client *client, const struct kj_work *work);

/* Whether something can still be sent to it. */
bool kj_client_is_open(const struct kj_client *client);

/* One pointer of the protocol's, which frees it in on_close. */
void kj_client_set_data(struct kj_client *client, void *data);
void *kj_client_data(const struct kj_client *client);

/* ---- pushes: immutable; what is returned lives as long as they ---- */

enum kj_presence {
    KJ_PRESENCE_NONE = 0, /* a message */
    KJ_PRESENCE_JOINED,   /* of the room: `from`, `client` */
    KJ_PRESENCE_LEFT,
    KJ_PRESENCE_RECEIPT, /* to a user: `from` has acknowledged messages, whose IDs are the body: a
                          * list of texts in JSON */
    KJ_PRESENCE_SUMMARY, /* of a room: many came and went; the body is JSON of the protocol's */
};

uint64_t kj_push_id(const struct kj_push *push); /* grows with time */
uint32_t kj_push_node(const struct kj_push *push);
uint64_t kj_push_sequence(const struct kj_push *push); /* of that node and the topic; 0: none */
int64_t kj_push_time_ms(const struct kj_push *push);   /* since 1970 */
enum kj_topic_kind kj_push_kind(const struct kj_push *push);
const char *kj_push_name(const struct kj_push *push);
const char *kj_push_from(const struct kj_push *push); /* the user who sent it; "": none */
uint64_t kj_push_client(const struct kj_push *push);  /* the client that did; 0: none */
int64_t kj_push_op(const struct kj_push *push);
enum kj_presence kj_push_presence(const struct kj_push *push);
const uint8_t *kj_push_body(const struct kj_push *push, size_t *len);
bool kj_push_body_is_json(const struct kj_push *push);

/* Strings and bytes are borrowed. */
struct kj_push_options {
    enum kj_topic_kind kind;
    const char *name; /* of the topic; NULL for all */
    const char *from; /* NULL: none */
    uint64_t client;
    int64_t op; /* a number of the application's */
    const uint8_t *body;
    size_t body_len;
    bool body_is_json; /* it is one JSON text, which the caller has checked */
    enum kj_presence presence;
    uint64_t id;  /* of kj_gateway_make_id, for what is kept before it is published; 0: a new one */
    bool at_once; /* it does not wait to go out with others: see kj_batching */
    /* Of KJ_TOPIC_ALL: to so many clients a second on each node, in no order; 0: to all at once.
     * Those who are there when their shard begins get it, and what is pushed to all meanwhile
     * comes to each of them behind it. */
    uint32_t speed;
};

struct kj_push_receipt {
    uint64_t id;
    size_t reached; /* clients of this node that it goes to; 0: nor to any that come later */
    /* The broker is away: this node's clients get it now, those of others once this node has found
     * it again, if the backend kept it (where there are none here, it did) and their node was
     * sooner. */
    bool is_degraded;
};

/* The ID of a push to be published; grows with time.                    [any thread] */
uint64_t kj_gateway_make_id(struct kj_gateway *gateway);

/* When an ID was made, in ms since 1970.                                [any thread] */
int64_t kj_push_id_time_ms(uint64_t id);

/* Publishes to a topic, whoever is there. Never blocks; `receipt` may be NULL.  [any thread]
 * KJ_EINVAL, KJ_ELIMIT for a large body, KJ_ENOTFOUND for a session of this node that is gone,
 * KJ_ENOMEM, or what kj_pubsub_publish returned: each counted. */
enum kj_status kj_gateway_publish(struct kj_gateway *gateway, const struct kj_push_options *options,
                                  struct kj_push_receipt *receipt);

/* Whether the broker is away: see is_degraded.                         [any thread] */
bool kj_gateway_is_degraded(struct kj_gateway *gateway);

/* Closes every client of a topic, on all nodes; where this node has none, not those either that
 * come to it later. `code` is 1000, 1001, 1008, 1011, 1013 or 3000 to 4999, `reason` (may be NULL)
 * at most 123 bytes of UTF-8.                                          [any thread]
 * As kj_gateway_publish. */
enum kj_status kj_gateway_kick(struct kj_gateway *gateway, enum kj_topic_kind kind,
                               const char *name, uint16_t code, const char *reason);

/* Calls a function once, in a while, on a thread of the gateway's; it must not wait. Not any more
 * once the server stops.                                               [any thread]
 * KJ_ENOMEM or KJ_ECLOSED. */
enum kj_status kj_gateway_later(struct kj_gateway *gateway, uint32_t delay_ms,
                                void (*run)(void *ctx), void *ctx);

/* ---- who is there, on this node: of topics, clients whose close has not begun ---- */

struct kj_gateway_counts {
    size_t clients; /* connected, let in or not */
    size_t users, rooms;
    size_t addresses; /* that the clients connect from */
    uint64_t jobs;    /* that wait for the shards, those of /events included */
    uint64_t frames;  /* that wait for sockets, as well */
};

void kj_gateway_count(struct kj_gateway *gateway, struct kj_gateway_counts *counts);
uint32_t kj_gateway_node(const struct kj_gateway *gateway); /* 24 bits, another at each start */

struct kj_member {
    uint64_t client;
    char user[KJ_NAME_MAX + 1]; /* "": none */
};

/* How many clients a topic has; not of KJ_TOPIC_SESSION.               [any thread] */
size_t kj_gateway_member_count(struct kj_gateway *gateway, enum kj_topic_kind kind,
                               const char *name);

/* Some of them, in the order they came, without the first `skip`; how many.  [any thread] */
size_t kj_gateway_members(struct kj_gateway *gateway, enum kj_topic_kind kind, const char *name,
                          size_t skip, struct kj_member *members, size_t max);

struct kj_topic_count {
    size_t clients;
    char name[KJ_NAME_MAX + 1];
};

/* A walk through the rooms, or users, that have clients, in portions: one that has clients all the
 * while comes once, others may or may not. NULL when there is no memory. Freed before the server.
 *                                                          [any thread, one at a time] */
struct kj_topic_walk *kj_topic_walk_new(struct kj_gateway *gateway, enum kj_topic_kind kind);

/* The next ones, with their clients on this node; how many, 0 at the end. */
size_t kj_topic_walk_next(struct kj_topic_walk *walk, struct kj_topic_count *topics, size_t max);
void kj_topic_walk_free(struct kj_topic_walk *walk); /* NULL is fine */

/* ---- protocols ---- */

enum kj_user_policy {
    KJ_USER_MANY = 0,       /* a user may have any number of clients */
    KJ_USER_ONE_PER_DEVICE, /* the newer replaces the older of the same device */
    KJ_USER_ONE,            /* the newer replaces the older */
};

/* What happens to a push for a client whose queue is full. Each drop is counted. */
enum kj_slow_policy {
    KJ_SLOW_DEFAULT = 0, /* rooms and all: DROP_OLDEST; users, sessions and devices: CLOSE */
    KJ_SLOW_DROP_NEWEST,
    KJ_SLOW_DROP_OLDEST,
    KJ_SLOW_CLOSE, /* with 1008, unless others that may be dropped make room */
};

/* Pushes to one room that follow each other quickly, as one. The first goes out at once. Users
 * and sessions never wait. */
struct kj_batching {
    uint32_t window_ms; /* 0: off; met within 50 ms */
    uint32_t items;     /* of one batch; 0: 100 */
    uint32_t bytes;     /* of bodies in one batch; 0: 64 KiB */
    bool all;           /* those to all are treated as those to a room */
};

/* Zero means the default given. */
struct kj_protocol_limits {
    uint32_t message_bytes;  /* of one message of a client; 64 KiB; 1009 */
    uint32_t queue_bytes;    /* waiting for one client; 256 KiB */
    uint32_t queue_messages; /* 1,024 */
    uint32_t rooms;          /* of one client; 32; at most 1,024 */
    uint32_t idle_ms;        /* without a frame of the client's; 60,000; pinged at half of it,
                              * but for streams */
    uint32_t handshake_ms;   /* to be let in; 5,000; KJ_CLOSE_UNAUTHORIZED */
    /* Messages of a client: so many a second on the average, so many at once, and so many in
     * excess, each refused and counted, before it is closed with 1008. Once it has been quiet for
     * long enough to send a whole burst again, the excess is forgotten. */
    uint32_t messages_per_second; /* no limit */
    uint32_t messages_burst;      /* twice messages_per_second */
    uint32_t messages_excess;     /* 100 */
};

struct kj_protocol {
    const char *name;        /* static */
    unsigned encoding_count; /* 1 to KJ_PROTOCOL_ENCODINGS_MAX; 0: 1 */

    /* Who is let in. The server's session authenticators look at every handshake. One they
     * refuse gets a 401, unless it shows no token and
     *   auth_in_frames: it may bring one in a message, for kj_client_authenticate, or
     *   is_open: it is let in, as nobody in particular.
     * A server without authenticators lets nobody in, but for is_open. A stream has no handshake
     * to look at, so it wants one of the two, or
     *   admits_itself: none is let in, whatever the handshake said, until the protocol has called
     *   kj_client_admit. */
    bool auth_in_frames, is_open, admits_itself;
    /* An authenticator of its own, asked before the server's: what it accepts or refuses they do
     * not see. NULL: there is none.                                    [an HTTP worker] */
    enum kj_auth (*authenticate)(struct kj_session *session, struct kj_error *error, void *ctx);

    enum kj_user_policy user_policy;
    /* Pushes may be for a device: one topic more for each client that has one. */
    bool device_topics;
    enum kj_slow_policy slow_rooms; /* of rooms and all */
    enum kj_slow_policy slow_users; /* of users, sessions and devices */
    struct kj_batching batching;
    struct kj_protocol_limits limits;

    /* All but encode run on the client's shard, and all but on_message and encode may be NULL. */

    /* For kj_server_listen, which needs it: the length of the packet that begins at `data`, 0 while
     * that cannot be told yet, SIZE_MAX when none can begin so: the client is closed, as it is for
     * more than limits.message_bytes. Asked again with more bytes. on_message gets whole packets,
     * as KJ_FRAME_BINARY. */
    size_t (*packet_len)(const uint8_t *data, size_t len, void *ctx);

    /* It is there; kj_client_is_admitted says whether it was let in. */
    void (*on_open)(struct kj_client *client, void *ctx);
    /* A whole message; `data` may be changed. */
    void (*on_message)(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx);
    /* A message that came too fast, for an answer; it is dropped. */
    void (*on_excess)(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                      void *ctx);
    /* The answer to kj_client_authenticate: NULL, and what the authenticators have set is the
     * session's, or why not. */
    void (*on_authenticated)(struct kj_client *client, const char *refusal, void *ctx);
    /* Pushes were dropped since it is slow, and now there is room for a word about it, which goes
     * where the gap is. */
    void (*on_gap)(struct kj_client *client, uint32_t dropped, void *ctx);
    /* It is about to be closed by kj_gateway_kick, or replaced: for a last word. */
    void (*on_end)(struct kj_client *client, uint16_t code, const char *reason, void *ctx);
    /* It is gone; every on_open has its on_close. No topic counts it any more, but its rooms and
     * user are still known. Never from within another of these functions nor from within a call of
     * theirs, also where that found the client gone: until they have returned, what the protocol
     * keeps of it stays. */
    void (*on_close)(struct kj_client *client, void *ctx);

    /* Whether a client is to get a push that has an `op`; asked for each such push and client of
     * its topic, so it should just look. NULL: everyone gets everything. */
    bool (*wants)(struct kj_client *client, const struct kj_push *push, void *ctx);

    /* The pushes, all of one topic, as messages of an encoding. Called once for each encoding in
     * use, whatever the number of clients; where several pushes are one batch, on each shard. Any
     * status but KJ_OK drops them, counted.                            [any shard] */
    enum kj_status (*encode)(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx);
    void *ctx;
};

/* Adds a message for the clients; for streams, bytes. KJ_ENOMEM. */
enum kj_status kj_frames_add(struct kj_frames *frames, enum kj_frame frame, const void *bytes,
                             size_t len);

/* Gives a copy of the protocol a path, before kj_server_start. KJ_EINVAL with `error` filled for a
 * bad path or protocol, KJ_EEXIST for a path that is taken, KJ_EUNSUPPORTED for a server without a
 * backend, KJ_ELIMIT, KJ_ENOMEM. */
enum kj_status kj_server_mount(struct kj_server *server, const char *path,
                               const struct kj_protocol *protocol, struct kj_error *error);

struct kj_stream_options {
    const char *listen;   /* "ADDR:PORT" or "[ADDR]:PORT"; port 0 picks one */
    bool tls;             /* with the server's certificate */
    uint32_t connections; /* at most; 0: as many as the server has sessions */
};

/* Gives a copy of the protocol an address, before kj_server_start, which listens: KJ_EIO there.
 * Its clients count as sessions: in all, per address, in the rates of handshakes. Their session has
 * a remote address, and no headers, parameters or cookies. A protocol in two forms is two, with the
 * same ctx. KJ_EINVAL with `error` filled, also for `tls` on a server without it, KJ_EUNSUPPORTED
 * for a server without a backend, KJ_ELIMIT, KJ_ENOMEM. */
enum kj_status kj_server_listen(struct kj_server *server, const struct kj_stream_options *options,
                                const struct kj_protocol *protocol, struct kj_error *error);

/* The port of the first, second ... that was given an address, once started; 0: there is none. */
uint16_t kj_server_stream_port(const struct kj_server *server, size_t index);

/* The gateway of a server; NULL when nothing is mounted.               [any thread] */
struct kj_gateway *kj_server_gateway(struct kj_server *server);

#endif
