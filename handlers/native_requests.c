/* native_requests.c - what a client that was let in may ask for. */
#include "handlers/native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct native_fault native_no_room = {"bad_request", "room is a name of 1 to 128 bytes"};
const struct native_fault native_no_member = {"not_member", "it is not in the room"};
const struct native_fault native_forbidden = {"forbidden", "it may not"};
const struct native_fault native_busy = {"busy", "try again"};

const struct native_fault *native_fault_of(enum kj_status status)
{
    static const struct native_fault large = {"too_large", "the body is too large"};
    static const struct native_fault closed = {"closed", "the node is stopping"};
    switch (status) {
    case KJ_OK:
        return NULL;
    case KJ_ELIMIT:
        return &large;
    case KJ_ECLOSED:
        return &closed;
    default:
        return &native_busy;
    }
}

const char *native_text_of(const struct native_request *request, const char *name)
{
    const json_t *value = json_object_get(request->data, name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

bool native_number_of(const struct native_request *request, const char *name, json_int_t fallback,
                      json_int_t max, size_t *number)
{
    const json_t *value = json_object_get(request->data, name);
    json_int_t given = value ? json_integer_value(value) : fallback;
    *number = (size_t)given;
    return (!value || json_is_integer(value)) && given >= 0 && given <= max;
}

/* ---- users ---- */

const struct native_fault *native_take_user(struct kj_client *client, const char *device)
{
    static const struct native_fault bad = {"unauthorized", "the claim sub is no user's name"};
    static const struct native_fault gone = {"unauthorized", "the node takes no more users"};
    struct kj_session *session = kj_client_session(client);
    const char *user = kj_session_claim(session, "sub");
    const char *claimed = kj_session_claim(session, "device");
    const char *asked = device && *device ? device : kj_session_parameter(session, "device");
    if (!user) {
        return NULL;
    }
    switch (kj_client_set_user(client, user, claimed ? claimed : asked)) {
    case KJ_OK:
        return NULL;
    case KJ_EINVAL:
        return &bad;
    default:
        return &gone;
    }
}

/* ---- rooms ---- */

void native_tell(struct kj_native *native, const struct kj_client *client, const char *room,
                 enum kj_presence presence)
{
    struct kj_gateway *gateway = kj_client_gateway(client);
    if (native->options.tells_nobody) {
        return;
    }
    if (kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, room) > native->options.told_members) {
        native_note_crowd(native, gateway, room, presence);
        return;
    }
    /* A failure is counted and logged there. */
    (void)kj_gateway_publish(gateway,
                             &(struct kj_push_options){.kind = KJ_TOPIC_ROOM,
                                                       .name = room,
                                                       .from = kj_client_user(client),
                                                       .client = kj_client_id(client),
                                                       .presence = presence},
                             NULL);
}

static const struct native_fault *join(const struct native_request *request)
{
    static const struct native_fault limit = {"limit", "there are too many rooms"};
    const struct kj_native_options *options = &request->native->options;
    const char *room = native_text_of(request, "room");
    if (!kj_name_is_valid(room)) {
        return &native_no_room;
    }
    bool was_in = kj_client_is_in(request->client, room);
    if (!was_in && options->may_join && !options->may_join(request->client, room, options->ctx)) {
        return &native_forbidden;
    }
    switch (kj_client_join(request->client, room)) {
    case KJ_OK:
        break;
    case KJ_ELIMIT:
        return &limit;
    default:
        return &native_busy;
    }
    native_answer_take(request, json_pack("{s:s}", "room", room));
    if (!was_in) {
        native_tell(request->native, request->client, room, KJ_PRESENCE_JOINED);
    }
    return NULL;
}

static const struct native_fault *leave(const struct native_request *request)
{
    const char *room = native_text_of(request, "room");
    if (!kj_name_is_valid(room)) {
        return &native_no_room;
    }
    bool was_in = kj_client_is_in(request->client, room);
    kj_client_leave(request->client, room);
    native_answer_take(request, json_pack("{s:s}", "room", room));
    if (was_in) {
        native_tell(request->native, request->client, room, KJ_PRESENCE_LEFT);
    }
    return NULL;
}

/* ---- SEND ---- */

/* Where it goes, and whether it may. */
static const struct native_fault *check_send(const struct native_request *request,
                                             enum kj_topic_kind *kind, const char **name)
{
    static const struct native_fault nowhere = {"bad_request", "SEND needs a room or a user"};
    static const struct native_fault spoofed = {"forbidden", "from is not who it is"};
    static const struct native_fault no_body = {"bad_request", "SEND needs a body"};
    static const struct native_fault deep = {"bad_request", "the body nests deeper than 60"};
    const struct kj_native_options *options = &request->native->options;
    const json_t *from = json_object_get(request->data, "from");
    const char *own = kj_client_user(request->client);
    const char *room = native_text_of(request, "room");
    const char *user = native_text_of(request, "user");
    *kind = room ? KJ_TOPIC_ROOM : KJ_TOPIC_USER;
    *name = room ? room : user;
    if ((room && user) || !kj_name_is_valid(*name)) {
        return &nowhere;
    }
    if (from && (!json_is_string(from) || !own || strcmp(json_string_value(from), own) != 0)) {
        return &spoofed;
    }
    json_t *body = json_object_get(request->data, "body");
    if (!body || native_is_too_deep(body)) {
        return body ? &deep : &no_body;
    }
    if (room && !options->may_send_from_away && !kj_client_is_in(request->client, room)) {
        return &native_no_member;
    }
    return options->may_send && !options->may_send(request->client, *kind, *name, options->ctx)
               ? &native_forbidden
               : NULL;
}

static const struct native_fault *send_message(const struct native_request *request)
{
    enum kj_topic_kind kind;
    const char *name;
    const struct native_fault *fault = check_send(request, &kind, &name);
    if (fault) {
        return fault;
    }
    if (native_sends_kept(request->native, kind)) {
        return native_send_kept(request, kind, name);
    }
    uint8_t *body;
    size_t len;
    struct kj_push_receipt receipt = {0};
    enum kj_status status = kj_value_encode(KJ_ENCODING_JSON,
                                            json_object_get(request->data, "body"), &body, &len);
    if (!status) {
        status = kj_gateway_publish(kj_client_gateway(request->client),
                                    &(struct kj_push_options){
                                        .kind = kind,
                                        .name = name,
                                        .from = kj_client_user(request->client),
                                        .client = kj_client_id(request->client),
                                        .body = body,
                                        .body_len = len,
                                        .body_is_json = true,
                                    },
                                    &receipt);
    }
    free(body);
    if (!status) {
        json_t *told = native_make_receipt(native_state_of(request->native, kind, receipt.reached),
                                           receipt.id, receipt.reached);
        if (told && receipt.is_degraded) {
            /* Without memory it is not told. */
            (void)json_object_set_new(told, "degraded", json_true());
        }
        native_answer_take(request, told);
    }
    return native_fault_of(status);
}

/* ---- all of them ---- */

void native_serve(const struct native_request *request)
{
    static const struct native_fault unknown = {"unknown_type", "there is no such request"};
    static const struct {
        const char *type;
        const struct native_fault *(*serve)(const struct native_request *request);
    } requests[] = {
        {"JOIN", join},          {"LEAVE", leave},
        {"SEND", send_message},  {"ACK", native_acknowledge},
        {"QUERY", native_query},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (strcmp(request->type, requests[i].type) == 0) {
            const struct native_fault *fault = requests[i].serve(request);
            if (fault) {
                native_refuse(request, fault);
            }
            return;
        }
    }
    const struct kj_native_options *options = &request->native->options;
    if (options->on_request) {
        options->on_request(request->client,
                            &(struct kj_native_request){request->type, request->id, request->data},
                            options->request_ctx);
    } else {
        native_refuse(request, &unknown);
    }
}
