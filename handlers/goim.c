/* goim.c - see kujata/goim.h: the life of a client. Packets are in goim_frame.c, who a client is in
 * goim_auth.c, what it asks for in goim_requests.c, goim's HTTP in goim_http.c. */
#include "handlers/goim.h"

#include <stdlib.h>
#include <string.h>

enum { CLOSE_PROTOCOL_ERROR = 1002 };

uint64_t goim_count_room(const struct kj_goim *goim, struct kj_gateway *gateway, const char *room)
{
    uint64_t count = 0;
    if (!goim->options.presence) {
        return kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, room);
    }
    kj_presence_room_counts(goim->options.presence, &room, 1, &count);
    return count;
}

/* ---- packets ---- */

static void take_packet(struct kj_client *client, const struct kj_goim *goim,
                        const struct goim_packet *packet)
{
    if (kj_client_is_admitted(client)) {
        goim_serve(client, goim, packet);
    } else if (packet->op == GOIM_AUTH) {
        goim_authenticate(client, goim, packet);
    } else {
        kj_client_count_refusal(client); /* goim passes over what comes first */
    }
}

/* A stream's packets, which are whole, and websocket messages, which should be. */
static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    struct goim_packet packet;
    if (frame == KJ_FRAME_BINARY && goim_packet_read(data, len, &packet)) {
        take_packet(client, ctx, &packet);
    } else {
        kj_client_count_refusal(client);
        kj_client_close(client, CLOSE_PROTOCOL_ERROR, "not a packet");
    }
}

/* ---- the end ---- */

static void on_end(struct kj_client *client, uint16_t code, const char *reason, void *ctx)
{
    (void)ctx;
    bool is_in = kj_client_is_admitted(client);
    goim_send_fault(client, is_in ? GOIM_DISCONNECT : GOIM_AUTH_REPLY, 0,
                    is_in ? code : GOIM_UNAUTHORIZED, reason ? reason : "");
}

static void on_close(struct kj_client *client, void *ctx)
{
    (void)ctx;
    struct goim_client *state = kj_client_data(client);
    if (state) {
        json_decref(state->token);
        free(state->accepts);
        free(state);
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

enum kj_status kj_goim_new(const struct kj_goim_options *options, struct kj_goim **goim)
{
    *goim = NULL;
    struct kj_goim *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    struct kj_goim_options *own = &made->options;
    if (options) {
        *own = *options;
    }
    made->domain = strdup(own->domain ? own->domain : "127.0.0.1");
    if (!made->domain) {
        free(made);
        return KJ_ENOMEM;
    }
    own->domain = made->domain;
    own->slow_rooms = own->slow_rooms ? own->slow_rooms : KJ_SLOW_DROP_OLDEST;
    own->slow_users = own->slow_users ? own->slow_users : KJ_SLOW_DROP_OLDEST;
    use_default(&own->limits.message_bytes, KJ_GOIM_HEADER_SIZE + 4096);
    use_default(&own->limits.idle_ms, 2 * 240 * 1000); /* two heartbeats of four minutes */
    own->limits.rooms = 1;
    *goim = made;
    return KJ_OK;
}

struct kj_protocol kj_goim_protocol(struct kj_goim *goim)
{
    const struct kj_goim_options *options = &goim->options;
    return (struct kj_protocol){
        .name = "goim",
        .admits_itself = true,
        .user_policy = KJ_USER_ONE_PER_DEVICE,
        .device_topics = true,
        .slow_rooms = options->slow_rooms,
        .slow_users = options->slow_users,
        .batching = options->batching,
        .limits = options->limits,
        .on_message = on_message,
        .on_authenticated = goim_on_authenticated,
        .on_end = on_end,
        .on_close = on_close,
        .wants = goim_wants,
        .encode = goim_encode,
        .ctx = goim,
    };
}

struct kj_protocol kj_goim_stream_protocol(struct kj_goim *goim)
{
    struct kj_protocol protocol = kj_goim_protocol(goim);
    protocol.name = "goim (TCP)";
    protocol.packet_len = goim_packet_len;
    protocol.encode = goim_encode_stream;
    return protocol;
}

void kj_goim_free(struct kj_goim *goim)
{
    if (goim) {
        free(goim->domain);
        free(goim);
    }
}
