/* gopush.c - see kujata/gopush.h: clients, and what they are sent. What servers push is in
 * gopush_routes.c. */
#include "handlers/gopush.h"

#include <kujata/encoding.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOMS_DEFAULT = 5, WINDOW_DEFAULT_MS = 1000, CLOSE_INTERNAL = 1011 };

/* ---- what a client asks for ---- */

static void send_text(struct kj_client *client, const char *text)
{
    enum kj_status status = kj_client_send(client, KJ_FRAME_TEXT, text, strlen(text));
    if (status && status != KJ_ECLOSED) {
        kj_client_close(client, CLOSE_INTERNAL, kj_status_text(status));
    }
}

/* go-push closes without a word. */
static void close_for(struct kj_client *client, const char *reason)
{
    kj_client_count_refusal(client);
    kj_client_close(client, KJ_GOPUSH_CLOSE_BAD_REQUEST, reason);
}

/* The room a request names; NULL when it names none, and then the client is closed. */
static const char *room_of(struct kj_client *client, const json_t *message)
{
    const json_t *value = json_object_get(json_object_get(message, "data"), "room");
    const char *room = json_string_value(value);
    if (room && strlen(room) == json_string_length(value) && kj_name_is_valid(room)) {
        return room;
    }
    close_for(client, "room is a name of 1 to 128 bytes");
    return NULL;
}

static void join(struct kj_client *client, const json_t *message)
{
    const char *room = room_of(client, message);
    if (room && kj_client_join(client, room)) {
        kj_client_count_refusal(client); /* unanswered, as go-push does */
    }
}

static void leave(struct kj_client *client, const json_t *message)
{
    const char *room = room_of(client, message);
    if (room && (!kj_client_is_in(client, room) || kj_client_leave(client, room))) {
        kj_client_count_refusal(client);
    }
}

static void serve(struct kj_client *client, const json_t *message)
{
    const json_t *type = json_object_get(message, "type");
    const char *name = type ? json_string_value(type) : "";
    if (!json_is_object(message) || !name) {
        close_for(client, "a message is an object with a type");
    } else if (strcmp(name, "PING") == 0) {
        send_text(client, "{\"type\":\"PONG\",\"data\":{}}");
    } else if (strcmp(name, "JOIN") == 0) {
        join(client, message);
    } else if (strcmp(name, "LEAVE") == 0) {
        leave(client, message);
    } else {
        kj_client_count_refusal(client); /* go-push passes over what it does not know */
    }
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    (void)ctx;
    json_t *message = NULL;
    if (frame != KJ_FRAME_TEXT) {
        kj_client_count_refusal(client);
        return;
    }
    if (kj_value_decode(KJ_ENCODING_JSON, data, len, &message, NULL)) {
        close_for(client, "this is no JSON");
    } else {
        serve(client, message);
    }
    json_decref(message);
}

static void on_open(struct kj_client *client, void *ctx)
{
    const struct kj_gopush *gopush = ctx;
    const char *user = kj_session_claim(kj_client_session(client), "sub");
    if (user && kj_client_set_user(client, user, NULL)) {
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, "the claim sub is no user's name");
    } else if (gopush->options.tells_session) {
        char id[KJ_CLIENT_ID_SIZE];
        char text[96];
        kj_client_id_format(kj_client_id(client), id);
        (void)snprintf(text, sizeof text, "{\"type\":\"WELCOME\",\"data\":{\"session\":\"%s\"}}",
                       id);
        send_text(client, text);
    }
}

/* ---- pushes ---- */

/* A body that is no JSON is base64 text. */
static enum kj_status write_bytes(FILE *to, const uint8_t *body, size_t len)
{
    unsigned char *text = malloc((len + 2) / 3 * 4 + 1);
    if (!text) {
        return KJ_ENOMEM;
    }
    int text_len = EVP_EncodeBlock(text, body, (int)len);
    fputc('"', to);
    fwrite(text, 1, (size_t)text_len, to);
    fputc('"', to);
    free(text);
    return KJ_OK;
}

static enum kj_status write_items(FILE *to, const struct kj_push *const *pushes, size_t count,
                                  size_t *written)
{
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        size_t len;
        const uint8_t *body = kj_push_body(pushes[i], &len);
        if (kj_push_presence(pushes[i]) != KJ_PRESENCE_NONE) {
            continue; /* go-push tells nobody who comes and goes */
        }
        if ((*written)++ > 0) {
            fputc(',', to);
        }
        if (kj_push_body_is_json(pushes[i])) {
            fwrite(body, 1, len, to);
        } else {
            status = write_bytes(to, body, len);
        }
    }
    return status;
}

static enum kj_status encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    char *text = NULL;
    size_t len = 0;
    size_t written = 0;
    FILE *memory = open_memstream(&text, &len);
    if (!memory) {
        return KJ_ENOMEM;
    }
    fputs("{\"type\":\"PUSH\",\"data\":{\"items\":[", memory);
    enum kj_status status = write_items(memory, pushes, count, &written);
    fputs("]}}", memory);
    bool is_whole = !ferror(memory);
    is_whole = fclose(memory) == 0 && is_whole;
    if (!status && !is_whole) {
        status = KJ_ENOMEM;
    }
    if (!status && written > 0) {
        status = kj_frames_add(frames, KJ_FRAME_TEXT, text, len);
    }
    free(text);
    return status;
}

/* ---- made and mounted ---- */

enum kj_status kj_gopush_new(const struct kj_gopush_options *options, struct kj_gopush **gopush)
{
    *gopush = calloc(1, sizeof **gopush);
    if (!*gopush) {
        return KJ_ENOMEM;
    }
    struct kj_gopush_options *own = &(*gopush)->options;
    if (options) {
        *own = *options;
    }
    own->limits.rooms = own->limits.rooms ? own->limits.rooms : ROOMS_DEFAULT;
    own->batching.window_ms = own->batching.window_ms ? own->batching.window_ms : WINDOW_DEFAULT_MS;
    own->batching.all = true;
    return KJ_OK;
}

struct kj_protocol kj_gopush_protocol(struct kj_gopush *gopush)
{
    const struct kj_gopush_options *options = &gopush->options;
    return (struct kj_protocol){
        .name = "go-push",
        .is_open = options->is_open,
        .slow_rooms = options->slow_rooms,
        .slow_users = options->slow_users,
        .batching = options->batching,
        .limits = options->limits,
        .on_open = on_open,
        .on_message = on_message,
        .encode = encode,
        .ctx = gopush,
    };
}

void kj_gopush_counters(void *gopush, kj_counter_visit visit, void *ctx)
{
    const struct gopush_counters *counters = &((const struct kj_gopush *)gopush)->counters;
#define GOPUSH_VISIT(member, name, help)                                                           \
    visit(name, help, atomic_load_explicit(&counters->member, memory_order_relaxed), ctx);
    GOPUSH_COUNTER_MAP(GOPUSH_VISIT)
#undef GOPUSH_VISIT
}

void kj_gopush_free(struct kj_gopush *gopush)
{
    free(gopush);
}
