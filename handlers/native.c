/* native.c - see kujata/native.h: the life of a client. What it asks for is in native_requests.c,
 * what is sent in native_send.c. */
#include "handlers/native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOLD_MEMBERS_DEFAULT = 100,
    SUMMARY_MS_DEFAULT = 1000,
    MAILBOX_WINDOW_DEFAULT = 50,
    ID_MAX = 128,
};

/* ---- what is remembered of a client ---- */

/* Of an AUTH, which is answered later. */
struct native_pending {
    json_t *id; /* NULL: none */
    char device[KJ_NAME_MAX + 1];
};

struct native_client *native_client_of(struct kj_client *client)
{
    struct native_client *own = kj_client_data(client);
    if (!own) {
        own = calloc(1, sizeof *own);
        kj_client_set_data(client, own);
    }
    return own;
}

static struct native_pending *pending_of(struct kj_client *client)
{
    const struct native_client *own = kj_client_data(client);
    return own ? own->pending : NULL;
}

static void forget_pending(struct kj_client *client)
{
    struct native_client *own = kj_client_data(client);
    if (own && own->pending) {
        json_decref(own->pending->id);
        free(own->pending);
        own->pending = NULL;
    }
}

/* ---- the beginning ---- */

static void welcome(struct kj_client *client, const struct kj_native *native)
{
    char id[KJ_CLIENT_ID_SIZE];
    const struct kj_protocol_limits *limits = &native->options.limits;
    const char *user = kj_client_user(client);
    kj_client_id_format(kj_client_id(client), id);
    json_t *data = json_pack("{s:s, s:I, s:I, s:I, s:b}", "session", id, "node",
                             (json_int_t)kj_gateway_node(kj_client_gateway(client)), "idle_ms",
                             (json_int_t)limits->idle_ms, "max_bytes",
                             (json_int_t)limits->message_bytes, "admitted",
                             kj_client_is_admitted(client));
    if (data && user) {
        json_object_set_new(data, "user", json_string(user));
    }
    native_send_take(client, "WELCOME", NULL, data);
}

static void on_open(struct kj_client *client, void *ctx)
{
    const struct native_fault *fault = kj_client_is_admitted(client)
                                           ? native_take_user(client, NULL)
                                           : NULL;
    if (fault) {
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, fault->message);
        return;
    }
    welcome(client, ctx);
    native_mail_begin(client, ctx);
}

/* ---- AUTH, which is answered later ---- */

static struct native_pending *pending_new(const struct native_request *request, const char *device)
{
    struct native_pending *pending = calloc(1, sizeof *pending);
    if (pending) {
        pending->id = json_incref(request->id);
    }
    if (pending && device) {
        memcpy(pending->device, device, strlen(device) + 1); /* valid: not longer */
    }
    return pending;
}

static const struct native_fault *authenticate(const struct native_request *request)
{
    static const struct native_fault no_token = {"bad_request", "AUTH needs a token"};
    static const struct native_fault no_device = {"bad_request", "device is no name"};
    static const struct native_fault done = {"done",
                                             "it has a user, or its token is being looked at"};
    static const struct native_fault busy = {"busy", "too many tokens are being looked at"};
    const char *token = json_string_value(json_object_get(request->data, "token"));
    const char *device = json_string_value(json_object_get(request->data, "device"));
    if (!token || !*token) {
        return &no_token;
    }
    if (device && !kj_name_is_valid(device)) {
        return &no_device;
    }
    if (kj_client_user(request->client) || pending_of(request->client)) {
        return &done;
    }
    struct native_client *own = native_client_of(request->client);
    if (own) {
        own->pending = pending_new(request, device);
    }
    if (!own || !own->pending) {
        return &busy;
    }
    if (kj_client_authenticate(request->client, token)) {
        forget_pending(request->client);
        return &busy;
    }
    return NULL;
}

static void on_authenticated(struct kj_client *client, const char *refusal, void *ctx)
{
    struct native_pending *pending = pending_of(client);
    json_t *id = pending ? pending->id : NULL;
    const struct native_fault *fault = NULL;
    if (!refusal) {
        fault = native_take_user(client, pending ? pending->device : NULL);
        refusal = fault ? fault->message : NULL;
    }
    if (!refusal && kj_client_admit(client)) {
        refusal = "no memory";
    }
    if (refusal) {
        native_send_take(client, "ERROR", id,
                         json_pack("{s:s, s:s}", "code", "unauthorized", "message", refusal));
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, "unauthorized");
    } else {
        const char *user = kj_client_user(client);
        native_send_take(client, "OK", id, user ? json_pack("{s:s}", "user", user) : json_object());
        native_mail_begin(client, ctx);
    }
    forget_pending(client);
}

/* ---- messages ---- */

static bool is_id(const json_t *id)
{
    return !id || json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= ID_MAX);
}

/* Reads the envelope; the fault, or NULL. */
static const struct native_fault *read_envelope(const json_t *message,
                                                struct native_request *request)
{
    static const struct native_fault no_object = {"bad_request", "a message is an object"};
    static const struct native_fault no_type = {"bad_request", "a message needs a type"};
    static const struct native_fault no_id = {"bad_request",
                                              "an id is an integer or at most 128 bytes of text"};
    static const struct native_fault no_data = {"bad_request", "data is an object"};
    if (!json_is_object(message)) {
        return &no_object;
    }
    json_t *id = json_object_get(message, "id");
    const json_t *data = json_object_get(message, "data");
    request->type = json_string_value(json_object_get(message, "type"));
    if (!is_id(id)) {
        return &no_id;
    }
    request->id = id;
    request->data = json_is_null(data) ? NULL : data;
    if (request->data && !json_is_object(request->data)) {
        return &no_data;
    }
    return request->type ? NULL : &no_type;
}

/* What may be asked for before it was let in. */
static void serve(const struct native_request *request)
{
    static const struct native_fault unauthorized = {"unauthorized", "AUTH comes first"};
    const struct native_fault *fault = NULL;
    if (strcmp(request->type, "PING") == 0) {
        native_send_take(request->client, "PONG", request->id, NULL);
    } else if (strcmp(request->type, "AUTH") == 0) {
        fault = authenticate(request);
    } else if (!kj_client_is_admitted(request->client)) {
        fault = &unauthorized;
    } else {
        native_serve(request);
    }
    if (fault) {
        native_refuse(request, fault);
    }
}

/* Reads a message; *value is the caller's, also after a fault. */
static const struct native_fault *read_message(enum kj_frame frame, const uint8_t *data, size_t len,
                                               json_t **value, struct native_request *request)
{
    static const struct native_fault unreadable = {"bad_request", "this cannot be read"};
    enum kj_encoding encoding = frame == KJ_FRAME_TEXT ? KJ_ENCODING_JSON : KJ_ENCODING_MSGPACK;
    *value = NULL;
    return kj_value_decode(encoding, data, len, value, NULL) ? &unreadable
                                                             : read_envelope(*value, request);
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    struct native_request request = {.client = client, .native = ctx};
    json_t *message;
    const struct native_fault *fault = read_message(frame, data, len, &message, &request);
    if (fault) {
        native_refuse(&request, fault);
    } else {
        serve(&request);
    }
    json_decref(message);
}

static void on_excess(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                      void *ctx)
{
    static const struct native_fault rate = {"rate", "these are too many messages"};
    struct native_request request = {.client = client, .native = ctx};
    json_t *message;
    (void)read_message(frame, data, len, &message, &request); /* for its id */
    native_refuse(&request, &rate);
    json_decref(message);
}

/* ---- the end, and what comes before ---- */

static void on_gap(struct kj_client *client, uint32_t dropped, void *ctx)
{
    (void)ctx;
    native_send_take(client, "GAP", NULL, json_pack("{s:I}", "missed", (json_int_t)dropped));
}

static void on_end(struct kj_client *client, uint16_t code, const char *reason, void *ctx)
{
    (void)ctx;
    native_send_take(client, "KICK", NULL,
                     json_pack("{s:i, s:s}", "code", (int)code, "reason", reason));
}

/* One room it leaves by going. */
struct parting {
    struct kj_native *native;
    const struct kj_client *client;
};

static void part(const char *room, void *ctx)
{
    const struct parting *parting = ctx;
    native_tell(parting->native, parting->client, room, KJ_PRESENCE_LEFT);
}

static void on_close(struct kj_client *client, void *ctx)
{
    struct parting parting = {.native = ctx, .client = client};
    kj_client_rooms(client, part, &parting);
    forget_pending(client);
    free(kj_client_data(client));
    kj_client_set_data(client, NULL);
}

/* ---- made and mounted ---- */

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

enum kj_status kj_native_new(const struct kj_native_options *options, struct kj_native **native)
{
    *native = calloc(1, sizeof **native);
    if (!*native) {
        return KJ_ENOMEM;
    }
    struct kj_native_options *own = &(*native)->options;
    if (options) {
        *own = *options;
    }
    /* Those that WELCOME tells are the defaults of a protocol. */
    use_default(&own->limits.idle_ms, 60000);
    use_default(&own->limits.message_bytes, 64 * 1024);
    use_default(&own->told_members, TOLD_MEMBERS_DEFAULT);
    use_default(&own->summary_ms, SUMMARY_MS_DEFAULT);
    use_default(&own->mailbox_window, MAILBOX_WINDOW_DEFAULT);
    if (own->mailbox_window > KJ_MESSAGES_PAGE_MAX) {
        own->mailbox_window = KJ_MESSAGES_PAGE_MAX;
    }
    if (!native_crowds_init(&(*native)->crowds)) {
        kj_native_free(*native);
        *native = NULL;
        return KJ_ENOMEM;
    }
    return KJ_OK;
}

struct kj_protocol kj_native_protocol(struct kj_native *native)
{
    const struct kj_native_options *options = &native->options;
    return (struct kj_protocol){
        .name = "native",
        .encoding_count = KJ_ENCODING_COUNT,
        .auth_in_frames = true,
        .is_open = options->is_open,
        .user_policy = options->user_policy,
        .slow_rooms = options->slow_rooms,
        .slow_users = options->slow_users,
        .batching = options->batching,
        .limits = options->limits,
        .on_open = on_open,
        .on_message = on_message,
        .on_excess = on_excess,
        .on_authenticated = on_authenticated,
        .on_gap = on_gap,
        .on_end = on_end,
        .on_close = on_close,
        .encode = native_encode,
        .ctx = native,
    };
}

void kj_native_free(struct kj_native *native)
{
    if (native) {
        kj_native_leave_nodes(native);
        native_crowds_fini(&native->crowds);
        free(native);
    }
}
