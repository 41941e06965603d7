/* mount.c - protocols of a gateway: checked, their defaults filled in. */
#include "gateway/client.h"
#include "gateway/gateway.h"

#include <stdlib.h>

enum { ROOMS_MAX = 1024 };

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

static void fill(struct kj_protocol *protocol)
{
    struct kj_protocol_limits *limits = &protocol->limits;
    protocol->encoding_count = protocol->encoding_count ? protocol->encoding_count : 1;
    use_default(&limits->message_bytes, 64 * 1024);
    use_default(&limits->queue_bytes, 256 * 1024);
    use_default(&limits->queue_messages, 1024);
    use_default(&limits->rooms, 32);
    use_default(&limits->idle_ms, 60000);
    use_default(&limits->handshake_ms, 5000);
    use_default(&limits->messages_burst, limits->messages_per_second > UINT32_MAX / 2
                                             ? UINT32_MAX
                                             : limits->messages_per_second * 2);
    use_default(&limits->messages_excess, 100);
    use_default(&protocol->batching.items, 100);
    use_default(&protocol->batching.bytes, 64 * 1024);
}

/* Who could be let in. */
static const char *check_entrance(const struct kj_gateway *gateway,
                                  const struct kj_protocol *protocol, bool is_stream)
{
    if (protocol->is_open || protocol->admits_itself || (protocol->authenticate && !is_stream)) {
        return NULL;
    }
    if (!gateway->options.authenticate) {
        return "the server has no session authenticators, and it is not is_open: nobody would be "
               "let in";
    }
    return is_stream && !protocol->auth_in_frames
               ? "a stream brings no token in its handshake, and it is not auth_in_frames: nobody "
                 "would be let in"
               : NULL;
}

static enum kj_status check(const struct kj_gateway *gateway, const struct kj_protocol *protocol,
                            bool is_stream, struct kj_error *error)
{
    const char *fault = check_entrance(gateway, protocol, is_stream);
    if (!protocol->name || !protocol->on_message || !protocol->encode) {
        fault = "it needs name, on_message and encode";
    } else if (is_stream && !protocol->packet_len) {
        fault = "a stream needs packet_len";
    } else if (protocol->encoding_count > KJ_PROTOCOL_ENCODINGS_MAX) {
        fault = "encoding_count is at most 4";
    } else if (protocol->limits.rooms > ROOMS_MAX) {
        fault = "limits.rooms is at most 1024";
    } else if (protocol->limits.idle_ms < 2) {
        fault = "limits.idle_ms is at least 2";
    } else if (protocol->batching.items > KJ__BATCH_MAX) {
        fault = "batching.items is at most 1000";
    } else if (protocol->user_policy < KJ_USER_MANY || protocol->user_policy > KJ_USER_ONE ||
               protocol->slow_rooms < KJ_SLOW_DEFAULT || protocol->slow_rooms > KJ_SLOW_CLOSE ||
               protocol->slow_users < KJ_SLOW_DEFAULT || protocol->slow_users > KJ_SLOW_CLOSE) {
        fault = "unknown policy";
    }
    if (!fault) {
        return KJ_OK;
    }
    kj_error_set(error, 0, "protocol %s: %s", protocol->name ? protocol->name : "without a name",
                 fault);
    return KJ_EINVAL;
}

static void fill_endpoint(struct kj__mount *mount)
{
    const struct kj_limits *limits = mount->gateway->options.limits;
    const struct kj_protocol_limits *own = &mount->protocol.limits;
    mount->endpoint = (struct kj__endpoint){
        .protocol = mount->is_stream ? &kj__client_stream_protocol : &kj__client_protocol,
        .message_bytes = own->message_bytes,
        .message_fragments = limits->message_fragments,
        .queue_bytes = own->queue_bytes,
        .queue_messages = own->queue_messages,
        .queue_policy = KJ_QUEUE_DISCONNECT,
        .ping_interval_ms = own->idle_ms / 2,
        .pong_timeout_ms = own->idle_ms,
        .write_stall_ms = limits->write_stall_ms,
        .close_timeout_ms = limits->close_timeout_ms,
        .input_is_life = true,
        .token_cookie = mount->gateway->options.token_cookie,
        .ctx = mount,
    };
}

enum kj_status kj__gateway_mount(struct kj_gateway *gateway, const struct kj_protocol *protocol,
                                 const struct kj_stream_options *stream, struct kj__mount **mount,
                                 struct kj_error *error)
{
    *mount = NULL;
    struct kj_protocol filled = *protocol;
    fill(&filled);
    enum kj_status status = check(gateway, &filled, stream != NULL, error);
    if (status) {
        return status;
    }
    if (gateway->mount_count == KJ__MOUNTS_MAX ||
        gateway->form_count + filled.encoding_count > KJ__FORMS_MAX) {
        kj_error_set(error, 0, "protocol %s: a server has at most %d, with %d encodings",
                     filled.name, KJ__MOUNTS_MAX, KJ__FORMS_MAX);
        return KJ_ELIMIT;
    }
    struct kj__mount *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->gateway = gateway;
    made->protocol = filled;
    made->first_form = gateway->form_count;
    made->is_stream = stream != NULL;
    made->places = stream ? stream->connections : 0;
    atomic_init(&made->places_left, made->places);
    made->message_rate = kj__rate_make(filled.limits.messages_per_second,
                                       filled.limits.messages_burst);
    fill_endpoint(made);
    for (unsigned i = 0; i < filled.encoding_count; i++) {
        gateway->forms[gateway->form_count++] = (struct kj__form){.mount = made, .encoding = i};
    }
    gateway->mounts[gateway->mount_count++] = made;
    *mount = made;
    return KJ_OK;
}
