/* gochat_message.c - messages and packets as gochat has them. */
#include "handlers/gochat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_SIZE = 32 };

static const char ping_text[] = "ping msg";

/* ---- packets ---- */

void gochat_write_head(uint8_t head[GOCHAT_HEAD_SIZE], size_t len)
{
    size_t whole = len + GOCHAT_HEAD_SIZE;
    head[0] = 'v';
    head[1] = '1';
    head[2] = (uint8_t)(whole >> 8);
    head[3] = (uint8_t)whole;
}

size_t gochat_packet_len(const uint8_t *data, size_t len, void *ctx)
{
    struct kj_gochat *gochat = ctx;
    bool is_good = (len < 1 || data[0] == 'v') && (len < 2 || data[1] == '1');
    size_t whole = 0;
    if (is_good && len >= GOCHAT_HEAD_SIZE) {
        whole = (size_t)data[2] << 8 | data[3];
        is_good = whole >= GOCHAT_HEAD_SIZE && whole <= KJ_GOCHAT_PACKET_MAX;
    }
    if (!is_good) {
        atomic_fetch_add(&gochat->counters.bad_packets, 1);
        return SIZE_MAX;
    }
    return whole;
}

/* ---- messages ---- */

void gochat_write_room(int64_t room, char name[GOCHAT_ROOM_SIZE])
{
    (void)snprintf(name, GOCHAT_ROOM_SIZE, "%" PRId64, room);
}

/* In the node's time zone; "" where the clock says nothing. */
static void write_time(int64_t unix_s, char text[TIME_SIZE])
{
    time_t seconds = (time_t)unix_s;
    struct tm parts;
    if (!localtime_r(&seconds, &parts) ||
        strftime(text, TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        text[0] = '\0';
    }
}

static json_t *make_message(const struct gochat_message *message, int64_t unix_s)
{
    char when[TIME_SIZE] = "";
    if (message->op == KJ_GOCHAT_OP_ROOM) {
        write_time(unix_s, when);
    }
    return json_pack("{s:i, s:s, s:I, s:s, s:I, s:s, s:I, s:i, s:s}", "code", 0, "msg",
                     message->text, "fromUserId", (json_int_t)message->from_id, "fromUserName",
                     message->from, "toUserId", (json_int_t)message->to_id, "toUserName",
                     message->to, "roomId", (json_int_t)message->room, "op", (int)message->op,
                     "createTime", when);
}

enum kj_status gochat_publish_take(struct kj_gochat *gochat, struct kj_gateway *gateway,
                                   const struct kj_push_options *to, json_t *value)
{
    struct kj_push_options push = *to;
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    enum kj_status status = text ? KJ_OK : KJ_ENOMEM;
    json_decref(value);
    if (!status) {
        push.body = (const uint8_t *)text;
        push.body_len = strlen(text);
        push.body_is_json = true;
        status = push.body_len > GOCHAT_BODY_MAX ? KJ_ELIMIT
                                                 : kj_gateway_publish(gateway, &push, NULL);
    }
    if (status) {
        atomic_fetch_add(&gochat->counters.failed, 1);
    }
    free(text);
    return status;
}

enum kj_status gochat_send(struct kj_gochat *gochat, struct kj_gateway *gateway,
                           const struct gochat_message *message)
{
    char room[GOCHAT_ROOM_SIZE];
    bool is_for_room = message->op == KJ_GOCHAT_OP_ROOM;
    gochat_write_room(message->room, room);
    atomic_fetch_add(&gochat->counters.messages, 1);
    return gochat_publish_take(
        gochat, gateway,
        &(struct kj_push_options){.kind = is_for_room ? KJ_TOPIC_ROOM : KJ_TOPIC_USER,
                                  .name = is_for_room ? room : message->to,
                                  .from = message->from,
                                  .op = message->op},
        make_message(message, (int64_t)time(NULL)));
}

/* ---- pushes ---- */

static bool is_ours(const struct kj_push *push)
{
    size_t len;
    const uint8_t *body = kj_push_body(push, &len);
    int64_t op = kj_push_op(push);
    return op >= KJ_GOCHAT_OP_USER && op <= KJ_GOCHAT_OP_INFO && kj_push_body_is_json(push) &&
           len > 0 && body[0] == '{';
}

/* What others push, as a message: a text as it is, anything else as JSON. */
static char *make_foreign(const struct kj_push *push)
{
    size_t len;
    const uint8_t *body = kj_push_body(push, &len);
    json_t *value = kj_push_body_is_json(push)
                        ? json_loadb((const char *)body, len, JSON_DECODE_ANY, NULL)
                        : NULL;
    bool is_text = json_is_string(value) &&
                   json_string_length(value) == strlen(json_string_value(value));
    char *copy = is_text ? NULL : strndup((const char *)body, len);
    bool is_room = kj_push_kind(push) == KJ_TOPIC_ROOM;
    const struct gochat_message message = {
        .op = kj_push_kind(push) == KJ_TOPIC_USER ? KJ_GOCHAT_OP_USER : KJ_GOCHAT_OP_ROOM,
        .from = kj_push_from(push),
        .to = kj_push_kind(push) == KJ_TOPIC_USER ? kj_push_name(push) : "",
        .room = is_room ? strtoll(kj_push_name(push), NULL, 10) : 0,
        .text = is_text ? json_string_value(value) : copy,
    };
    /* NULL for bytes that are no UTF-8: there is no such message. */
    json_t *made = message.text ? make_message(&message, kj_push_time_ms(push) / 1000) : NULL;
    char *text = made ? json_dumps(made, JSON_COMPACT) : NULL;
    json_decref(made);
    json_decref(value);
    free(copy);
    return text;
}

static enum kj_status add_packet(struct kj_frames *frames, const void *bytes, size_t len)
{
    uint8_t packet[KJ_GOCHAT_PACKET_MAX];
    if (len > GOCHAT_BODY_MAX) {
        return KJ_ELIMIT;
    }
    gochat_write_head(packet, len);
    memcpy(packet + GOCHAT_HEAD_SIZE, bytes, len);
    return kj_frames_add(frames, KJ_FRAME_BINARY, packet, len + GOCHAT_HEAD_SIZE);
}

static enum kj_status add_text(struct kj_frames *frames, const void *bytes, size_t len)
{
    return kj_frames_add(frames, KJ_FRAME_TEXT, bytes, len);
}

static enum kj_status encode_push(const struct kj_push *push, struct kj_frames *frames,
                                  enum kj_status (*add)(struct kj_frames *frames, const void *bytes,
                                                        size_t len))
{
    size_t len;
    const uint8_t *body = kj_push_body(push, &len);
    if (is_ours(push)) {
        return add(frames, body, len);
    }
    char *text = make_foreign(push);
    enum kj_status status = text ? add(frames, text, strlen(text)) : KJ_EUNSUPPORTED;
    free(text);
    return status;
}

enum kj_status gochat_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count && !status; i++) {
        if (kj_push_presence(pushes[i]) == KJ_PRESENCE_NONE) {
            status = encode_push(pushes[i], frames, add_text);
        }
    }
    return status;
}

enum kj_status gochat_encode_packets(unsigned encoding, const struct kj_push *const *pushes,
                                     size_t count, struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count && !status; i++) {
        if (gochat_is_ping(pushes[i])) {
            status = add_packet(frames, ping_text, strlen(ping_text));
        } else if (kj_push_presence(pushes[i]) == KJ_PRESENCE_NONE) {
            status = encode_push(pushes[i], frames, add_packet);
        }
    }
    return status;
}
