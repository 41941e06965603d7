/* gochat.h - what the files of gochat's protocol share. */
#ifndef KJ_HANDLERS_GOCHAT_H
#define KJ_HANDLERS_GOCHAT_H

#include <jansson.h>
#include <kujata/gochat.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GOCHAT_HEAD_SIZE = 4,
    GOCHAT_BODY_MAX = KJ_GOCHAT_PACKET_MAX - GOCHAT_HEAD_SIZE, /* of a message: TCP has no more */
    GOCHAT_ROOM_SIZE = 24, /* of a room's number in digits, with the terminator */
};

/* Member, name, help. */
#define GOCHAT_COUNTER_MAP(X)                                                                      \
    X(messages, "gochat_messages_total", "Messages of gochat's clients to rooms and users")        \
    X(queries, "gochat_queries_total", "Questions of gochat's clients for who is in a room")       \
    X(refused, "gochat_requests_refused_total", "Calls of gochat's routes answered with a fault")  \
    X(failed, "gochat_pushes_failed_total", "Messages of gochat's that were not published")        \
    X(bad_packets, "gochat_packets_bad_total", "Packets on TCP that are none of gochat's")         \
    X(pings, "gochat_pings_total", "Pings published to clients on TCP")

struct gochat_counters {
#define GOCHAT_COUNTER_MEMBER(member, name, help) _Atomic uint64_t member;
    GOCHAT_COUNTER_MAP(GOCHAT_COUNTER_MEMBER)
#undef GOCHAT_COUNTER_MEMBER
};

struct kj_gochat {
    struct kj_gochat_options options; /* every default filled in */
    struct kj_server *server;         /* of the routes; NULL: there are none */
    struct gochat_counters counters;
    pthread_t pinger;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kj_gateway *pinged; /* guarded by lock: whose streams are pinged; NULL: there are none */
    size_t streams;            /* likewise: how many */
    bool is_stopping;          /* likewise */
};

/* A message that came while a login was under way: its turn is after that. */
struct gochat_deferred {
    struct gochat_deferred *next;
    size_t len;
    uint8_t bytes[];
};

/* What is kept of a client. */
struct gochat_client {
    int64_t id;   /* of its account; 0: not known yet */
    int64_t room; /* 0: none yet */
    int64_t wanted_room;
    char *token; /* on TCP, where each message has it; NULL: not let in */
    char *wanted_token;
    bool is_stream, is_pinged, is_logging_in;
    struct gochat_deferred *deferred, *last_deferred; /* the first, and the last if there is one */
    unsigned deferred_count;
    size_t deferred_bytes;
};

/* ---- gochat_message.c: texts as gochat has them ---- */

/* Who sends, to whom. */
struct gochat_message {
    enum kj_gochat_op op; /* to a room, or to a user */
    int64_t from_id, to_id, room;
    const char *from, *to; /* names */
    const char *text;
};

/* Publishes it. KJ_ELIMIT for one that no packet has room for, else as kj_gateway_publish. */
enum kj_status gochat_send(struct kj_gochat *gochat, struct kj_gateway *gateway,
                           const struct gochat_message *message);

/* Publishes a value to a room, or to a user alone. */
enum kj_status gochat_publish_take(struct kj_gochat *gochat, struct kj_gateway *gateway,
                                   const struct kj_push_options *to, json_t *value);

void gochat_write_room(int64_t room, char name[GOCHAT_ROOM_SIZE]);

/* kj_protocol.encode, for each form. */
enum kj_status gochat_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx);
enum kj_status gochat_encode_packets(unsigned encoding, const struct kj_push *const *pushes,
                                     size_t count, struct kj_frames *frames, void *ctx);

/* kj_protocol.packet_len. */
size_t gochat_packet_len(const uint8_t *data, size_t len, void *ctx);

/* Puts the head of a packet of `len` bytes behind it. */
void gochat_write_head(uint8_t head[GOCHAT_HEAD_SIZE], size_t len);

/* ---- gochat_room.c: who is in a room ---- */

/* How many, on all nodes where that is known. Does not wait. */
size_t gochat_count(const struct kj_gochat *gochat, struct kj_gateway *gateway, const char *room);

/* The others wait for the disk, and for other nodes. */

/* To the room, or, where that is large, to one of its users alone (NULL: to nobody).
 * KJ_ENOTFOUND for a room that nobody is in. */
enum kj_status gochat_tell_count(struct kj_gochat *gochat, struct kj_gateway *gateway, int64_t room,
                                 const char *asker);
enum kj_status gochat_tell_info(struct kj_gochat *gochat, struct kj_gateway *gateway, int64_t room,
                                const char *asker);

/* ---- gochat_ping.c: what clients on TCP hear while nothing else comes ---- */

bool gochat_pings_start(struct kj_gochat *gochat);
void gochat_pings_stop(struct kj_gochat *gochat);

/* A client on TCP was let in, or is gone. */
void gochat_pings_add(struct kj_gochat *gochat, struct kj_client *client);
void gochat_pings_remove(struct kj_gochat *gochat);

bool gochat_is_ping(const struct kj_push *push);

#endif
