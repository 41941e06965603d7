/* goim.h - what the files of goim's protocol share. */
#ifndef KJ_HANDLERS_GOIM_H
#define KJ_HANDLERS_GOIM_H

#include <jansson.h>
#include <kujata/goim.h>

/* Of goim 2.x. A request and its answer follow each other. */
enum goim_op {
    GOIM_HEARTBEAT = 2,
    GOIM_HEARTBEAT_REPLY = 3,
    GOIM_MESSAGE = 5,    /* of a push without an op */
    GOIM_DISCONNECT = 6, /* the last word to a client that was in */
    GOIM_AUTH = 7,
    GOIM_AUTH_REPLY = 8,
    GOIM_BATCH = 9, /* pushes in a websocket message */
    GOIM_CHANGE_ROOM = 12,
    GOIM_SUBSCRIBE = 14,
    GOIM_UNSUBSCRIBE = 16,
};

/* As goim's answers and refusals have it. */
enum goim_code {
    GOIM_OK = 0,
    GOIM_BAD_REQUEST = -400,
    GOIM_UNAUTHORIZED = -401,
    GOIM_FAILED = -500
};

struct kj_goim {
    struct kj_goim_options options;
    char *domain;
    struct kj_gateway *gateway; /* for the routes */
};

struct goim_packet {
    int32_t op, seq;
    uint8_t *body; /* where it lies */
    size_t len;
};

/* What is known of a client from its AUTH on. */
struct goim_client {
    json_t *token;  /* while the authenticators look at it; NULL: they do not */
    int32_t seq;    /* of its AUTH */
    bool is_choosy; /* it gets no other operations than those it accepts */
    uint32_t accepted, capacity;
    int32_t *accepts; /* sorted */
};

/* ---- goim_frame.c ---- */

/* kj_protocol.packet_len. */
size_t goim_packet_len(const uint8_t *data, size_t len, void *ctx);

/* False unless the bytes are one packet. */
bool goim_packet_read(uint8_t *data, size_t len, struct goim_packet *packet);

/* Sends a packet; what cannot be sent closes the client. */
void goim_send(struct kj_client *client, int32_t op, int32_t seq, const void *body, size_t len);

/* The same with {"code", "message"} as the body. */
void goim_send_fault(struct kj_client *client, int32_t op, int32_t seq, int code,
                     const char *message);

/* kj_protocol.encode, for websockets and for streams. */
enum kj_status goim_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                           struct kj_frames *frames, void *ctx);
enum kj_status goim_encode_stream(unsigned encoding, const struct kj_push *const *pushes,
                                  size_t count, struct kj_frames *frames, void *ctx);

/* ---- goim.c ---- */

/* How many clients are in a room. [any thread] */
uint64_t goim_count_room(const struct kj_goim *goim, struct kj_gateway *gateway, const char *room);

/* ---- goim_auth.c ---- */

/* Op 7 of a client that is not in. */
void goim_authenticate(struct kj_client *client, const struct kj_goim *goim,
                       const struct goim_packet *packet);

/* kj_protocol.on_authenticated. */
void goim_on_authenticated(struct kj_client *client, const char *refusal, void *ctx);

/* ---- goim_requests.c ---- */

/* What a client that is in asks for. */
void goim_serve(struct kj_client *client, const struct kj_goim *goim,
                const struct goim_packet *packet);

/* Adds an operation to those a client accepts; false when there are too many, or no memory. */
bool goim_accept(struct goim_client *state, int32_t op);

/* kj_protocol.wants. */
bool goim_wants(struct kj_client *client, const struct kj_push *push, void *ctx);

/* Whether the client may go to a room. */
bool goim_may_join(struct kj_client *client, const struct kj_goim *goim, const char *room);

#endif
