/* native_send.c - what the native protocol sends: answers, and pushes once for all who get them.
 *
 * A body that is JSON is put into JSON as it is; anything else is base64 text in "bytes".
 */
#include "handlers/native.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_INTERNAL = 1011, TOPIC_SIZE = KJ_NAME_MAX + 16 };

static const char *const kind_names[KJ_TOPIC_KIND_COUNT] = {
    [KJ_TOPIC_ALL] = "all",         [KJ_TOPIC_ROOM] = "room",     [KJ_TOPIC_USER] = "user",
    [KJ_TOPIC_SESSION] = "session", [KJ_TOPIC_DEVICE] = "device",
};

/* ---- answers ---- */

/* Adds a member; `value` is taken over. False when there is no memory. */
static bool add(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

static json_t *make_envelope(const char *type, json_t *id, json_t *data)
{
    json_t *envelope = json_pack("{s:s}", "type", type);
    bool is_whole = envelope && (!id || json_object_set(envelope, "id", id) == 0);
    if (is_whole && data) {
        is_whole = json_object_set(envelope, "data", data) == 0;
    }
    json_decref(data);
    if (!is_whole) {
        json_decref(envelope);
        return NULL;
    }
    return envelope;
}

static void send_envelope_take(struct kj_client *client, json_t *envelope)
{
    enum kj_encoding encoding = kj_client_encoding(client) ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON;
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum kj_status status = envelope ? kj_value_encode(encoding, envelope, &bytes, &len)
                                     : KJ_ENOMEM;
    if (!status) {
        status = kj_client_send(
            client, encoding == KJ_ENCODING_JSON ? KJ_FRAME_TEXT : KJ_FRAME_BINARY, bytes, len);
    }
    if (status && status != KJ_ECLOSED) {
        kj_client_close(client, CLOSE_INTERNAL, kj_status_text(status));
    }
    free(bytes);
    json_decref(envelope);
}

void native_send_take(struct kj_client *client, const char *type, json_t *id, json_t *data)
{
    send_envelope_take(client, make_envelope(type, id, data));
}

void native_send_push_take(struct kj_client *client, const char *topic, json_t *data)
{
    send_envelope_take(
        client,
        data ? json_pack("{s:s, s:s, s:o}", "type", "PUSH", "topic", topic, "data", data) : NULL);
}

void native_answer_take(const struct native_request *request, json_t *data)
{
    native_send_take(request->client, "OK", request->id, data);
}

void native_refuse(const struct native_request *request, const struct native_fault *fault)
{
    kj_client_count_refusal(request->client);
    native_send_take(request->client, "ERROR", request->id,
                     json_pack("{s:s, s:s}", "code", fault->code, "message", fault->message));
}

void kj_native_answer_take(struct kj_client *client, json_t *id, json_t *data)
{
    native_send_take(client, "OK", id, data);
}

void kj_native_refuse(struct kj_client *client, json_t *id, const char *code, const char *message)
{
    const struct native_request request = {.client = client, .id = id};
    native_refuse(&request, &(struct native_fault){code, message});
}

/* ---- bodies ---- */

/* Nesting was bounded when it was read. */
static int depth_of(json_t *value)
{
    const char *name;
    size_t at;
    json_t *member;
    int deepest = 0;
    json_object_foreach(value, name, member)
    {
        int depth = depth_of(member);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(value, at, member)
    {
        int depth = depth_of(member);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_object(value) || json_is_array(value));
}

bool native_is_too_deep(json_t *body)
{
    return depth_of(body) > NATIVE_BODY_NESTING_MAX;
}

json_t *native_read_body(const uint8_t *bytes, size_t len)
{
    json_t *body = NULL;
    if (!kj_value_decode(KJ_ENCODING_JSON, bytes, len, &body, NULL) && native_is_too_deep(body)) {
        json_decref(body);
        body = NULL;
    }
    return body;
}

/* ---- pushes as values ---- */

static void write_topic(const struct kj_push *push, char text[TOPIC_SIZE])
{
    const char *name = kj_push_name(push);
    (void)snprintf(text, TOPIC_SIZE, "%s%s%s", kind_names[kj_push_kind(push)], *name ? "." : "",
                   name);
}

json_t *native_make_bytes(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((len + 2) / 3 * 4 + 1);
    char *at = text;
    if (!text) {
        return NULL;
    }
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= i + 2 < len ? bytes[i + 2] : 0;
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        *at++ = i + 1 < len ? digits[group >> 6 & 63] : '=';
        *at++ = i + 2 < len ? digits[group & 63] : '=';
    }
    json_t *value = json_stringn(text, (size_t)(at - text));
    free(text);
    return value;
}

/* Who a push comes from. */
static bool add_sender(json_t *item, const struct kj_push *push, const char *user_name)
{
    char id[KJ_CLIENT_ID_SIZE];
    const char *from = kj_push_from(push);
    if (*from && !add(item, user_name, json_string(from))) {
        return false;
    }
    kj_client_id_format(kj_push_client(push), id);
    return kj_push_client(push) == 0 || add(item, "session", json_string(id));
}

/* One message without a body that is JSON. */
static json_t *make_item(const struct kj_push *push)
{
    char id[NATIVE_ID_SIZE];
    (void)snprintf(id, sizeof id, "%016" PRIx64, kj_push_id(push));
    json_t *item = json_pack(
        "{s:s, s:I, s:I, s:I}", "id", id, "node", (json_int_t)kj_push_node(push), "seq",
        (json_int_t)kj_push_sequence(push), "ts", (json_int_t)kj_push_time_ms(push));
    bool is_whole = item && add_sender(item, push, "from");
    if (is_whole && kj_push_op(push) != 0) {
        is_whole = add(item, "op", json_integer(kj_push_op(push)));
    }
    if (is_whole && !kj_push_body_is_json(push)) {
        size_t len;
        const uint8_t *body = kj_push_body(push, &len);
        is_whole = add(item, "bytes", native_make_bytes(body, len));
    }
    if (!is_whole) {
        json_decref(item);
        return NULL;
    }
    return item;
}

/* Messages that somebody has acknowledged: the body is the list of their IDs. */
static json_t *make_receipt(const struct kj_push *push)
{
    size_t len;
    json_t *ids = NULL;
    const uint8_t *body = kj_push_body(push, &len);
    if (kj_value_decode(KJ_ENCODING_JSON, body, len, &ids, NULL)) {
        return NULL;
    }
    json_t *data = json_pack("{s:s, s:s, s:o}", "kind", "delivered", "user", kj_push_from(push),
                             "ids", ids);
    return data ? make_envelope("EVENT", NULL, data) : NULL;
}

/* How many came to a large room and went. */
static json_t *make_summary(const struct kj_push *push)
{
    size_t len;
    json_t *data = NULL;
    const uint8_t *body = kj_push_body(push, &len);
    if (!kj_push_body_is_json(push) || kj_value_decode(KJ_ENCODING_JSON, body, len, &data, NULL) ||
        !add(data, "kind", json_string("count")) ||
        !add(data, "room", json_string(kj_push_name(push))) ||
        !add(data, "node", json_integer(kj_push_node(push)))) {
        json_decref(data);
        return NULL;
    }
    return make_envelope("EVENT", NULL, data);
}

static json_t *make_event(const struct kj_push *push)
{
    if (kj_push_presence(push) == KJ_PRESENCE_SUMMARY) {
        return make_summary(push);
    }
    if (kj_push_presence(push) == KJ_PRESENCE_RECEIPT) {
        return make_receipt(push);
    }
    json_t *data = json_pack("{s:s, s:s}", "kind",
                             kj_push_presence(push) == KJ_PRESENCE_JOINED ? "join" : "leave",
                             "room", kj_push_name(push));
    if (data && !add_sender(data, push, "user")) {
        json_decref(data);
        return NULL;
    }
    return data ? make_envelope("EVENT", NULL, data) : NULL;
}

/* ---- pushes as messages ---- */

static enum kj_status add_value_take(struct kj_frames *frames, enum kj_encoding encoding,
                                     json_t *value)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum kj_status status = value ? kj_value_encode(encoding, value, &bytes, &len) : KJ_ENOMEM;
    if (!status) {
        status = kj_frames_add(
            frames, encoding == KJ_ENCODING_JSON ? KJ_FRAME_TEXT : KJ_FRAME_BINARY, bytes, len);
    }
    free(bytes);
    json_decref(value);
    return status;
}

/* An item as JSON text, its body put in unread. */
static enum kj_status write_item(FILE *to, const struct kj_push *push)
{
    uint8_t *bytes;
    size_t len;
    size_t body_len;
    const uint8_t *body = kj_push_body(push, &body_len);
    json_t *item = make_item(push);
    enum kj_status status = item ? kj_value_encode(KJ_ENCODING_JSON, item, &bytes, &len)
                                 : KJ_ENOMEM;
    json_decref(item);
    if (status) {
        return status;
    }
    if (kj_push_body_is_json(push)) {
        fwrite(bytes, 1, len - 1, to); /* without its bracket */
        fputs(",\"body\":", to);
        fwrite(body, 1, body_len, to);
        fputc('}', to);
    } else {
        fwrite(bytes, 1, len, to);
    }
    free(bytes);
    return KJ_OK;
}

static enum kj_status write_push(FILE *to, const struct kj_push *const *pushes, size_t count)
{
    char topic[TOPIC_SIZE];
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum kj_status status = KJ_OK;
    fputs("{\"data\":{\"items\":[", to);
    for (size_t i = 0; !status && i < count; i++) {
        if (i > 0) {
            fputc(',', to);
        }
        status = write_item(to, pushes[i]);
    }
    write_topic(pushes[0], topic);
    json_t *name = json_string(topic);
    if (!status) {
        status = name ? kj_value_encode(KJ_ENCODING_JSON, name, &bytes, &len) : KJ_ENOMEM;
    }
    if (!status) {
        fputs("]},\"topic\":", to);
        fwrite(bytes, 1, len, to);
        fputs(",\"type\":\"PUSH\"}", to);
    }
    free(bytes);
    json_decref(name);
    return status;
}

static enum kj_status add_json(struct kj_frames *frames, const struct kj_push *const *pushes,
                               size_t count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    if (!memory) {
        return KJ_ENOMEM;
    }
    enum kj_status status = write_push(memory, pushes, count);
    bool is_whole = !ferror(memory);
    is_whole = fclose(memory) == 0 && is_whole;
    if (!status) {
        status = is_whole ? kj_frames_add(frames, KJ_FRAME_TEXT, text, len) : KJ_ENOMEM;
    }
    free(text);
    return status;
}

static bool add_body(json_t *item, const struct kj_push *push)
{
    size_t len;
    const uint8_t *bytes = kj_push_body(push, &len);
    if (!kj_push_body_is_json(push)) {
        return true; /* it is there, as bytes */
    }
    json_t *body = native_read_body(bytes, len);
    return body ? add(item, "body", body) : add(item, "bytes", native_make_bytes(bytes, len));
}

static enum kj_status add_msgpack(struct kj_frames *frames, const struct kj_push *const *pushes,
                                  size_t count)
{
    char topic[TOPIC_SIZE];
    write_topic(pushes[0], topic);
    json_t *items = json_array();
    bool is_whole = items != NULL;
    for (size_t i = 0; is_whole && i < count; i++) {
        json_t *item = make_item(pushes[i]);
        is_whole = item && add_body(item, pushes[i]) && json_array_append(items, item) == 0;
        json_decref(item);
    }
    json_t *push = is_whole ? json_pack("{s:s, s:s, s:{s:O}}", "type", "PUSH", "topic", topic,
                                        "data", "items", items)
                            : NULL;
    json_decref(items);
    return add_value_take(frames, KJ_ENCODING_MSGPACK, push);
}

/* How many messages follow each other from here on. */
static size_t count_messages(const struct kj_push *const *pushes, size_t count)
{
    size_t messages = 0;
    while (messages < count && kj_push_presence(pushes[messages]) == KJ_PRESENCE_NONE) {
        messages++;
    }
    return messages;
}

enum kj_status native_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx)
{
    (void)ctx;
    enum kj_status status = KJ_OK;
    for (size_t at = 0; !status && at < count;) {
        size_t messages = count_messages(pushes + at, count - at);
        if (messages == 0) {
            status = add_value_take(frames, encoding ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON,
                                    make_event(pushes[at++]));
        } else {
            status = encoding ? add_msgpack(frames, pushes + at, messages)
                              : add_json(frames, pushes + at, messages);
            at += messages;
        }
    }
    return status;
}
