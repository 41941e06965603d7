/* native_keep.c - SEND, of what is kept before it is published. */
#include "handlers/native.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_BYTES_MAX = 64 << 20 /* of bodies, of all clients */ };

struct sending {
    struct native_work work;
    enum kj_topic_kind kind;
    char name[KJ_NAME_MAX + 1];
    char key[KJ_MESSAGE_NAME_MAX + 1]; /* "": none */
    uint64_t client;
    uint8_t *body;
    size_t len;
    bool is_unknown; /* there is no such user */
    bool is_refused; /* by the store */
    struct kj_messages_receipt receipt;
    size_t reached;
};

/* ---- states ---- */

json_t *native_make_receipt(const char *state, uint64_t id, size_t reached)
{
    char text[NATIVE_ID_SIZE];
    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    return json_pack("{s:s, s:s, s:I}", "state", state, "id", text, "reached", (json_int_t)reached);
}

const char *native_state_of(const struct kj_native *native, enum kj_topic_kind kind, size_t reached)
{
    return kind == KJ_TOPIC_USER && reached == 0 && native->options.is_alone ? "offline"
                                                                             : "accepted";
}

static const char *kept_state_of(const struct sending *sending)
{
    static const char *const states[] = {
        [KJ_MESSAGE_NEW] = "stored",
        [KJ_MESSAGE_WAITING] = "stored",
        [KJ_MESSAGE_DELIVERED] = "delivered",
        [KJ_MESSAGE_DROPPED] = "dropped",
    };
    const struct kj_native_options *options = &sending->work.native->options;
    bool has_mailbox = sending->kind == KJ_TOPIC_USER && options->messages &&
                       options->keeps_mailboxes;
    return has_mailbox || sending->receipt.state == KJ_MESSAGE_DROPPED
               ? states[sending->receipt.state]
               : native_state_of(sending->work.native, sending->kind, sending->reached);
}

/* ---- on a thread that may wait ---- */

static enum kj_status publish(struct sending *sending, const struct kj_push_options *push)
{
    struct kj_push_receipt receipt = {0};
    enum kj_status status = kj_gateway_publish(sending->work.gateway, push, &receipt);
    sending->receipt.id = receipt.id;
    sending->reached = receipt.reached;
    return status;
}

enum kj_status kj_native_publish(struct kj_native *native, struct kj_gateway *gateway,
                                 const struct kj_push_options *push,
                                 const struct kj_messages_append *append,
                                 struct kj_messages_receipt *receipt,
                                 struct kj_push_receipt *published)
{
    bool is_to_user = push->kind == KJ_TOPIC_USER;
    enum kj_status status = kj_messages_publish(native->options.messages, gateway, push, append,
                                                receipt, published);
    if (append->to_history && push->body_is_json && receipt->id != 0 &&
        receipt->state == KJ_MESSAGE_NEW) {
        native_nodes_keep(native, &(struct kj_message){.id = receipt->id,
                                                       .room = is_to_user ? NULL : push->name,
                                                       .user = is_to_user ? push->name : NULL,
                                                       .from = push->from ? push->from : "",
                                                       .op = push->op,
                                                       .body = push->body,
                                                       .body_len = push->body_len});
    }
    return status;
}

static void run(struct native_work *work)
{
    struct sending *sending = (struct sending *)work;
    const struct kj_native_options *options = &work->native->options;
    bool is_to_user = sending->kind == KJ_TOPIC_USER;
    if (is_to_user && options->user_exists && !options->user_exists(sending->name, options->ctx)) {
        sending->is_unknown = true;
        return;
    }
    const struct kj_push_options push = {.kind = sending->kind,
                                         .name = sending->name,
                                         .from = *work->user ? work->user : NULL,
                                         .client = sending->client,
                                         .body = sending->body,
                                         .body_len = sending->len,
                                         .body_is_json = true};
    if (!native_keeps(work->native, sending->kind)) {
        work->status = publish(sending, &push);
        return;
    }
    const struct kj_messages_append append = {
        .to_mailbox = is_to_user && options->keeps_mailboxes,
        .to_history = is_to_user ? options->keeps_conversations : options->keeps_rooms,
        .key = *sending->key ? sending->key : NULL};
    struct kj_push_receipt published;
    work->status = kj_native_publish(work->native, work->gateway, &push, &append, &sending->receipt,
                                     &published);
    sending->reached = published.reached;
    sending->is_refused = work->status && sending->receipt.id == 0;
}

/* ---- on the shard ---- */

static const struct native_fault *finish(struct kj_client *client, struct native_work *work)
{
    static const struct native_fault no_user = {"no_such_user", "there is no such user"};
    static const struct native_fault refused = {"not_stored",
                                                "it could not be stored, and was not sent"};
    struct sending *sending = (struct sending *)work;
    if (sending->is_unknown) {
        return &no_user;
    }
    if (sending->is_refused && work->status != KJ_ELIMIT) {
        return &refused;
    }
    if (!work->status) {
        const struct native_request request = {.client = client, .id = work->id};
        native_answer_take(&request, native_make_receipt(kept_state_of(sending),
                                                         sending->receipt.id, sending->reached));
    }
    return native_fault_of(work->status);
}

static void fini(struct native_work *work)
{
    struct sending *sending = (struct sending *)work;
    atomic_fetch_sub(&work->native->waiting_bytes, sending->len);
    free(sending->body);
}

bool native_keeps(const struct kj_native *native, enum kj_topic_kind kind)
{
    const struct kj_native_options *options = &native->options;
    return options->messages &&
           (kind == KJ_TOPIC_USER ? options->keeps_mailboxes || options->keeps_conversations
                                  : options->keeps_rooms);
}

bool native_sends_kept(const struct kj_native *native, enum kj_topic_kind kind)
{
    return native_keeps(native, kind) || (kind == KJ_TOPIC_USER && native->options.user_exists);
}

const struct native_fault *native_send_kept(const struct native_request *request,
                                            enum kj_topic_kind kind, const char *name)
{
    static const struct native_fault no_key = {"bad_request", "key is a text of 1 to 128 bytes"};
    const char *key = native_text_of(request, "key");
    if (json_object_get(request->data, "key") && (!key || !kj_name_is_valid(key))) {
        return &no_key;
    }
    struct sending *sending = calloc(1, sizeof *sending);
    if (!sending) {
        return &native_busy;
    }
    sending->work = (struct native_work){
        .native = request->native, .run = run, .finish = finish, .fini = fini};
    sending->kind = kind;
    sending->client = kj_client_id(request->client);
    memcpy(sending->name, name, strlen(name) + 1); /* both are valid: not longer */
    memcpy(sending->key, key ? key : "", key ? strlen(key) + 1 : 1);
    enum kj_status status = kj_value_encode(
        KJ_ENCODING_JSON, json_object_get(request->data, "body"), &sending->body, &sending->len);
    size_t waiting = atomic_fetch_add(&request->native->waiting_bytes, sending->len);
    if (status || waiting > WAITING_BYTES_MAX) {
        fini(&sending->work);
        free(sending);
        return status ? native_fault_of(status) : &native_busy;
    }
    return native_work_take(request, &sending->work);
}
