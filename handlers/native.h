/* native.h - what the files of the native protocol share. */
#ifndef KJ_HANDLERS_NATIVE_H
#define KJ_HANDLERS_NATIVE_H

#include <jansson.h>
#include <kujata/native.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    NATIVE_ID_SIZE = 24,
    NATIVE_ACK_MAX = 1000,
    NATIVE_BODY_NESTING_MAX = 60, /* messages nest 64 deep at most, and an item is 4 inside */
};

struct native_nodes;

/* What passed between nodes. */
struct native_counts {
    _Atomic uint64_t asked, sent, kept, unreadable, failed;
};

/* Large rooms that clients came to or went from since they were last told, or not long before. */
struct native_crowds {
    pthread_mutex_t lock;
    json_t *rooms; /* guarded by lock, as is the next: by name */
    bool is_due;   /* they will be looked at */
    _Atomic(struct kj_gateway *) gateway;
    _Atomic uint64_t told, untold;
};

struct kj_native {
    struct kj_native_options options;
    struct native_counts counts;
    struct native_crowds crowds;
    _Atomic uint32_t queries;     /* that wait for other nodes */
    _Atomic size_t waiting_bytes; /* of messages that are about to be kept */
    struct native_nodes *nodes;   /* NULL: there are no others */
};

/* What is remembered of a client; its shard's. */
struct native_client {
    struct native_pending *pending; /* an AUTH that is not answered; NULL: none */
    unsigned works;                 /* under way for it */
    unsigned queries;               /* of them, those that wait for other nodes */
    bool wants_mail;                /* it has not had all of its mailbox */
    bool is_reading;                /* a page of it is on its way */
    bool begins_again;              /* then, from the beginning */
    int64_t last_mail;              /* the number of the last message of it that was sent */
};

/* A message of a client, read. */
struct native_request {
    struct kj_client *client;
    struct kj_native *native;
    const char *type;
    json_t *id;         /* NULL: none */
    const json_t *data; /* an object, or NULL */
};

/* Why a request is refused; both static. */
struct native_fault {
    const char *code, *message;
};

extern const struct native_fault native_busy, native_forbidden, native_no_room, native_no_member;

/* What a store, the gateway or the threads that may wait have said; NULL for KJ_OK. */
const struct native_fault *native_fault_of(enum kj_status status);

/* ---- native.c ---- */

/* Made where there is none yet; NULL without memory. */
struct native_client *native_client_of(struct kj_client *client);

/* ---- native_send.c ---- */

/* Sends {"type", "id", "data"} in the client's encoding; `id` may be NULL, `data` is taken over and
 * may be NULL. What cannot be sent closes the client. */
void native_send_take(struct kj_client *client, const char *type, json_t *id, json_t *data);

/* A PUSH to it alone. `data` is taken over. */
void native_send_push_take(struct kj_client *client, const char *topic, json_t *data);

void native_answer_take(const struct native_request *request, json_t *data);
void native_refuse(const struct native_request *request, const struct native_fault *fault);

/* Whether a body nests so deep that no message can have it in an item. */
bool native_is_too_deep(json_t *body);

/* A body as a value; NULL: it is none, or too deep, and is shown as bytes. */
json_t *native_read_body(const uint8_t *bytes, size_t len);

/* Base64 text. */
json_t *native_make_bytes(const uint8_t *bytes, size_t len);

/* kj_protocol.encode. */
enum kj_status native_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx);

/* ---- native_requests.c ---- */

/* Does what a request of a client asks for, and answers it. */
void native_serve(const struct native_request *request);

/* A member of the request that is a text without NUL, or NULL. */
const char *native_text_of(const struct native_request *request, const char *name);

/* A number of the request; false when it is not one from 0 to `max`. */
bool native_number_of(const struct native_request *request, const char *name, json_int_t fallback,
                      json_int_t max, size_t *number);

/* Tells a room who has come or gone, where that is told. */
void native_tell(struct kj_native *native, const struct kj_client *client, const char *room,
                 enum kj_presence presence);

/* Takes over the user the authenticators have found; the fault, or NULL. `device` may be NULL. */
const struct native_fault *native_take_user(struct kj_client *client, const char *device);

/* ---- native_work.c: requests that wait for a disk ---- */

/* What every such work has; the first member of what else it needs. */
struct native_work {
    struct kj_native *native;
    struct kj_gateway *gateway;
    json_t *id;                 /* the request's; NULL: none */
    char user[KJ_NAME_MAX + 1]; /* the client's; "": none */
    enum kj_status status;      /* of run */
    void (*run)(struct native_work *work);
    /* On the shard, for a client that is open; the fault is told by the caller. */
    const struct native_fault *(*finish)(struct kj_client *client, struct native_work *work);
    void (*fini)(struct native_work *work); /* NULL: nothing; on any thread */
};

/* Fills the first members in and hands it over, in any case; the fault, or NULL. */
const struct native_fault *native_work_take(const struct native_request *request,
                                            struct native_work *work);

/* ---- native_mailbox.c ---- */

bool native_keeps(const struct kj_native *native, enum kj_topic_kind kind);

/* Has what waits for its user sent to the client, from the beginning. */
void native_mail_begin(struct kj_client *client, struct kj_native *native);

/* Goes on with it, where there is more and the client has acknowledged what it was sent. */
void native_mail_go_on(struct kj_client *client, struct kj_native *native);

const struct native_fault *native_acknowledge(const struct native_request *request);
const struct native_fault *native_query_unread(const struct native_request *request);

/* Sends what waits again, from the beginning. */
const struct native_fault *native_query_mailbox(const struct native_request *request);

/* Tells those who sent them that the user has them. */
void native_tell_senders(struct kj_gateway *gateway, const char *user,
                         const struct kj_messages_page *removed);

/* ---- native_nodes.c: nothing without other nodes ---- */

/* Has other nodes send what waits there. */
void native_nodes_ask(const struct kj_native *native, const struct kj_client *client);

/* Of IDs that are not in the mailbox here. May wait. */
void native_nodes_acknowledge(const struct kj_native *native, uint64_t client, const char *user,
                              const uint64_t *ids, size_t count);

/* Has other nodes keep what was said. */
void native_nodes_keep(const struct kj_native *native, const struct kj_message *message);

/* ---- native_history.c ---- */

const struct native_fault *native_query_history(const struct native_request *request);

/* A page as a list of items; NULL without memory. */
json_t *native_make_items(const struct kj_messages_page *page);

/* Reads an ID as items have it; false for what is none. */
bool native_read_id(const json_t *text, uint64_t *id);

/* ---- native_keep.c ---- */

/* SEND, of something that is kept, or to somebody who may not exist. The caller has checked what it
 * says. */
const struct native_fault *native_send_kept(const struct native_request *request,
                                            enum kj_topic_kind kind, const char *name);
bool native_sends_kept(const struct kj_native *native, enum kj_topic_kind kind);

/* The answer to a SEND. */
json_t *native_make_receipt(const char *state, uint64_t id, size_t reached);

/* What became of what nobody keeps. */
const char *native_state_of(const struct kj_native *native, enum kj_topic_kind kind,
                            size_t reached);

/* ---- native_query.c ---- */

/* QUERY: answers, now or later; the fault, or NULL. */
const struct native_fault *native_query(const struct native_request *request);

/* ---- native_crowd.c ---- */

/* False when there is no memory. */
bool native_crowds_init(struct native_crowds *crowds);
void native_crowds_fini(struct native_crowds *crowds);

/* Notes that a client has come to, or gone from, a room that is too large to be told of each. */
void native_note_crowd(struct kj_native *native, struct kj_gateway *gateway, const char *room,
                       enum kj_presence presence);

void native_crowds_count(const struct native_crowds *crowds, kj_counter_visit visit, void *ctx);

#endif
