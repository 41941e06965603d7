/* gochat.c - see kujata/gochat.h: the life of a client, and what it says. */
#include "handlers/gochat.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOLD_MEMBERS_DEFAULT = 100,
    PING_DEFAULT_MS = 54000,
    STREAM_IDLE_DEFAULT_MS = 24 * 3600 * 1000,
    ROOMS_MIN = 3, /* an old one, a new one, and that of pings */
    DEFERRED_MAX = 64,
    DEFERRED_BYTES_MAX = 128 * 1024,
    CODE_FAULT = 1,
    CODE_SESSION = 40000,
    CLOSE_TRY_LATER = 1013,
};

/* ---- what it is told ---- */

/* A websocket's close says it all; on TCP there is no other word. */
static void tell(struct kj_client *client, int code, const char *text)
{
    uint8_t packet[KJ_GOCHAT_PACKET_MAX];
    const struct gochat_client *data = kj_client_data(client);
    json_t *answer = data && data->is_stream
                         ? json_pack("{s:i, s:s, s:n}", "code", code, "message", text, "data")
                         : NULL;
    size_t len = answer ? json_dumpb(answer, (char *)packet + GOCHAT_HEAD_SIZE, GOCHAT_BODY_MAX,
                                     JSON_COMPACT)
                        : 0;
    if (len > 0 && len <= GOCHAT_BODY_MAX) {
        gochat_write_head(packet, len);
        (void)kj_client_send(client, KJ_FRAME_BINARY, packet, len + GOCHAT_HEAD_SIZE);
    }
    json_decref(answer);
}

static void refuse(struct kj_client *client, const char *text)
{
    kj_client_count_refusal(client);
    tell(client, CODE_SESSION, "Session error");
    kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, text);
}

static void give_up(struct kj_client *client, const char *text)
{
    kj_client_count_refusal(client);
    tell(client, CODE_FAULT, text);
    kj_client_close(client, CLOSE_TRY_LATER, text);
}

/* ---- rooms it leaves ---- */

struct departure {
    struct kj_gochat *gochat;
    struct kj_gateway *gateway;
    int64_t room;
};

static void tell_room(void *item)
{
    const struct departure *departure = item;
    /* A failure is counted there; an empty room hears nothing. */
    (void)gochat_tell_info(departure->gochat, departure->gateway, departure->room, NULL);
}

/* Tells a room that it has gone, unless the room is large, or empty. */
static void depart(struct kj_gochat *gochat, struct kj_client *client, int64_t room)
{
    char name[GOCHAT_ROOM_SIZE];
    struct kj_gateway *gateway = kj_client_gateway(client);
    gochat_write_room(room, name);
    size_t members = gochat_count(gochat, gateway, name);
    if (members == 0 || members > gochat->options.told_members) {
        return;
    }
    struct departure *departure = malloc(sizeof *departure);
    if (departure) {
        *departure = (struct departure){gochat, gateway, room};
        const struct kj_work work = {.run = tell_room, .release = free, .item = departure};
        if (kj_client_work(client, &work)) {
            free(departure);
        }
    }
}

/* ---- login ---- */

static int64_t integer_of(const json_t *message, const char *name)
{
    const json_t *value = json_object_get(message, name);
    return json_is_integer(value) ? json_integer_value(value) : 0;
}

static const char *text_of(const json_t *message, const char *name)
{
    const json_t *value = json_object_get(message, name);
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static void log_in(struct kj_client *client, const json_t *message)
{
    struct gochat_client *data = kj_client_data(client);
    const char *token = text_of(message, "authToken");
    int64_t room = integer_of(message, "roomId");
    if (!token || !*token || room <= 0) {
        refuse(client, "the first message has authToken and roomId");
        return;
    }
    if (data->is_stream) {
        free(data->wanted_token);
        data->wanted_token = strdup(token);
    }
    if ((data->is_stream && !data->wanted_token) || kj_client_authenticate(client, token)) {
        give_up(client, "busy");
        return;
    }
    data->wanted_room = room;
    data->is_logging_in = true;
}

/* Moves it to the room it asked for. */
static enum kj_status enter(struct kj_gochat *gochat, struct kj_client *client,
                            struct gochat_client *data)
{
    char name[GOCHAT_ROOM_SIZE];
    int64_t left = data->room;
    gochat_write_room(data->wanted_room, name);
    enum kj_status status = kj_client_join(client, name);
    if (status || left == data->wanted_room) {
        return status;
    }
    data->room = data->wanted_room;
    if (left) {
        gochat_write_room(left, name);
        (void)kj_client_leave(client, name);
        depart(gochat, client, left);
    }
    return KJ_OK;
}

/* Who the authenticators have found; what is wrong, or NULL. */
static const char *take_user(struct kj_client *client, struct gochat_client *data)
{
    const struct kj_session *session = kj_client_session(client);
    const char *user = kj_session_claim(session, "sub");
    const char *id = kj_session_claim(session, "account");
    if (!user || !id) {
        return "the token is of no account";
    }
    switch (kj_client_set_user(client, user, NULL)) {
    case KJ_OK:
        data->id = strtoll(id, NULL, 10);
        return NULL;
    case KJ_EEXIST:
        return "the token is another user's";
    default:
        return "the node takes no more users";
    }
}

/* ---- messages on TCP ---- */

/* A sender that the message names must be who the token says. */
static bool is_own(const struct kj_client *client, const struct gochat_client *data,
                   const json_t *message)
{
    const char *name = text_of(message, "fromUserName");
    const char *token = text_of(message, "authToken");
    int64_t id = integer_of(message, "fromUserId");
    return (id == 0 || id == data->id) &&
           (!name || !*name || strcmp(name, kj_client_user(client)) == 0) && token &&
           strcmp(token, data->token) == 0;
}

static void send_to_room(struct kj_gochat *gochat, struct kj_client *client, const json_t *message)
{
    const struct gochat_client *data = kj_client_data(client);
    const char *text = text_of(message, "msg");
    const char *fault = NULL;
    int64_t room = integer_of(message, "roomId");
    if (!text || room <= 0) {
        fault = "msg and roomId are needed";
    } else if (!is_own(client, data, message)) {
        fault = "the sender is not who has the token";
    } else if (gochat_send(gochat, kj_client_gateway(client),
                           &(struct gochat_message){.op = KJ_GOCHAT_OP_ROOM,
                                                    .from_id = data->id,
                                                    .from = kj_client_user(client),
                                                    .to = "",
                                                    .room = room,
                                                    .text = text})) {
        fault = "the message was not sent";
    }
    if (fault) {
        kj_client_count_refusal(client);
        tell(client, CODE_FAULT, fault);
    }
}

static void serve_packet(struct kj_gochat *gochat, struct kj_client *client, const json_t *message)
{
    switch (integer_of(message, "op")) {
    case KJ_GOCHAT_OP_LOGIN:
        log_in(client, message);
        break;
    case KJ_GOCHAT_OP_ROOM:
        if (kj_client_is_admitted(client)) {
            send_to_room(gochat, client, message);
        } else {
            refuse(client, "the login comes first");
        }
        break;
    default:
        kj_client_count_refusal(client);
        tell(client, CODE_FAULT, "op is 6 or 3");
        break;
    }
}

/* ---- messages ---- */

static void serve(struct kj_gochat *gochat, struct kj_client *client, const uint8_t *bytes,
                  size_t len)
{
    const struct gochat_client *data = kj_client_data(client);
    json_t *message = NULL;
    size_t head = data->is_stream ? GOCHAT_HEAD_SIZE : 0;
    if (kj_value_decode(KJ_ENCODING_JSON, bytes + head, len - head, &message, NULL) ||
        !json_is_object(message)) {
        refuse(client, "a message is a JSON object");
    } else if (data->is_stream) {
        serve_packet(gochat, client, message);
    } else {
        log_in(client, message);
    }
    json_decref(message);
}

/* ---- messages that came while a login was looked at ---- */

static void defer(struct kj_client *client, struct gochat_client *data, const uint8_t *bytes,
                  size_t len)
{
    bool has_room = len <= DEFERRED_BYTES_MAX - data->deferred_bytes &&
                    data->deferred_count < DEFERRED_MAX;
    struct gochat_deferred *deferred = has_room ? malloc(sizeof *deferred + len) : NULL;
    if (!deferred) {
        give_up(client, "too much before the login was looked at");
        return;
    }
    deferred->next = NULL;
    deferred->len = len;
    memcpy(deferred->bytes, bytes, len);
    if (data->deferred) {
        data->last_deferred->next = deferred;
    } else {
        data->deferred = deferred;
    }
    data->last_deferred = deferred;
    data->deferred_count++;
    data->deferred_bytes += len;
}

static struct gochat_deferred *take_deferred(struct gochat_client *data)
{
    struct gochat_deferred *first = data->deferred;
    data->deferred = first->next;
    data->deferred_count--;
    data->deferred_bytes -= first->len;
    return first;
}

/* Until one of them is another login. Any of them may be the end of the client. */
static void serve_deferred(struct kj_gochat *gochat, struct kj_client *client)
{
    struct gochat_client *data = kj_client_data(client);
    while (kj_client_is_open(client) && data->deferred && !data->is_logging_in) {
        struct gochat_deferred *first = take_deferred(data);
        serve(gochat, client, first->bytes, first->len);
        free(first);
    }
}

static void let_in(struct kj_gochat *gochat, struct kj_client *client, struct gochat_client *data)
{
    if (kj_client_admit(client) || enter(gochat, client, data)) {
        give_up(client, "the node takes no more");
        return;
    }
    if (data->is_stream && !data->is_pinged) {
        data->is_pinged = true;
        gochat_pings_add(gochat, client);
    }
    serve_deferred(gochat, client);
}

static void on_authenticated(struct kj_client *client, const char *refusal, void *ctx)
{
    struct gochat_client *data = kj_client_data(client);
    const char *fault = refusal ? refusal : take_user(client, data);
    free(data->token);
    data->token = data->wanted_token;
    data->wanted_token = NULL;
    data->is_logging_in = false;
    if (fault) {
        refuse(client, "unauthorized");
    } else {
        let_in(ctx, client, data);
    }
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *bytes, size_t len,
                       void *ctx)
{
    (void)frame;
    struct gochat_client *data = kj_client_data(client);
    if (data->is_logging_in) {
        defer(client, data, bytes, len);
    } else {
        serve(ctx, client, bytes, len);
    }
}

/* ---- the beginning and the end ---- */

static void open_client(struct kj_client *client, bool is_stream)
{
    struct gochat_client *data = calloc(1, sizeof *data);
    if (data) {
        data->is_stream = is_stream;
    } else {
        kj_client_close(client, CLOSE_TRY_LATER, "no memory");
    }
    kj_client_set_data(client, data);
}

static void on_open(struct kj_client *client, void *ctx)
{
    (void)ctx;
    open_client(client, false);
}

static void on_open_stream(struct kj_client *client, void *ctx)
{
    (void)ctx;
    open_client(client, true);
}

static void on_end(struct kj_client *client, uint16_t code, const char *reason, void *ctx)
{
    (void)ctx;
    tell(client, code, reason);
}

static void on_close(struct kj_client *client, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    struct gochat_client *data = kj_client_data(client);
    if (data) {
        if (data->room) {
            depart(gochat, client, data->room);
        }
        if (data->is_pinged) {
            gochat_pings_remove(gochat);
        }
        while (data->deferred) {
            free(take_deferred(data));
        }
        free(data->wanted_token);
        free(data->token);
        free(data);
        kj_client_set_data(client, NULL);
    }
}

/* ---- made and mounted ---- */

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

enum kj_status kj_gochat_new(const struct kj_gochat_options *options, struct kj_gochat **gochat)
{
    *gochat = NULL;
    if (!options->accounts) {
        return KJ_EINVAL;
    }
    struct kj_gochat *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->options = *options;
    use_default(&made->options.told_members, TOLD_MEMBERS_DEFAULT);
    if (made->options.told_members > KJ_PRESENCE_PAGE_MAX) {
        made->options.told_members = KJ_PRESENCE_PAGE_MAX;
    }
    use_default(&made->options.ping_ms, PING_DEFAULT_MS);
    use_default(&made->options.stream_idle_ms, STREAM_IDLE_DEFAULT_MS);
    struct kj_protocol_limits *limits = &made->options.limits;
    if (limits->rooms && limits->rooms < ROOMS_MIN) {
        limits->rooms = ROOMS_MIN;
    }
    if (!gochat_pings_start(made)) {
        free(made);
        return KJ_ENOMEM;
    }
    *gochat = made;
    return KJ_OK;
}

struct kj_protocol kj_gochat_protocol(struct kj_gochat *gochat)
{
    return (struct kj_protocol){
        .name = "gochat",
        .auth_in_frames = true,
        .admits_itself = true,
        .user_policy = KJ_USER_ONE,
        .limits = gochat->options.limits,
        .on_open = on_open,
        .on_message = on_message,
        .on_authenticated = on_authenticated,
        .on_close = on_close,
        .encode = gochat_encode,
        .ctx = gochat,
    };
}

struct kj_protocol kj_gochat_stream(struct kj_gochat *gochat)
{
    struct kj_protocol protocol = kj_gochat_protocol(gochat);
    protocol.name = "gochat on TCP";
    protocol.limits.idle_ms = gochat->options.stream_idle_ms;
    protocol.limits.message_bytes = KJ_GOCHAT_PACKET_MAX;
    protocol.packet_len = gochat_packet_len;
    protocol.on_open = on_open_stream;
    protocol.on_end = on_end;
    protocol.encode = gochat_encode_packets;
    return protocol;
}

void kj_gochat_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    const struct kj_gochat *gochat = ctx;
#define VISIT_COUNTER(member, name, help)                                                          \
    visit(name, help, atomic_load(&gochat->counters.member), visit_ctx);
    GOCHAT_COUNTER_MAP(VISIT_COUNTER)
#undef VISIT_COUNTER
}

void kj_gochat_free(struct kj_gochat *gochat)
{
    if (gochat) {
        gochat_pings_stop(gochat);
        free(gochat);
    }
}
