/* healing.c - see kujata/healing.h: clients, who they are, and what they say. */
#include "handlers/healing.h"

#include <kujata/encoding.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_INTERNAL = 1011, QUEUE_BYTES_DEFAULT = 8 << 20, QUEUE_MESSAGES_DEFAULT = 4096 };

void healing_send_text(struct kj_client *client, const void *text, size_t len)
{
    enum kj_status status = kj_client_send(client, KJ_FRAME_TEXT, text, len);
    if (status && status != KJ_ECLOSED) {
        kj_client_close(client, CLOSE_INTERNAL, kj_status_text(status));
    }
}

static void say(struct kj_client *client, const char *word)
{
    healing_send_text(client, word, strlen(word));
}

/* ---- who it is ---- */

bool healing_user_of(const struct kj_healing *healing, const char *cookie,
                     struct kj_session *session, char user[KJ_HEALING_USER_SIZE])
{
    const struct kj_healing_options *options = &healing->options;
    if (!cookie || !*cookie) {
        return false;
    }
    if (options->user_of) {
        *user = '\0';
        return options->user_of(cookie, session, user, options->ctx) && healing_user_is_valid(user);
    }
    int len = snprintf(user, KJ_HEALING_USER_SIZE, "%s", cookie);
    return len < KJ_HEALING_USER_SIZE && healing_user_is_valid(user);
}

static enum kj_auth authenticate(struct kj_session *session, struct kj_error *error, void *ctx)
{
    struct kj_healing *healing = ctx;
    char user[KJ_HEALING_USER_SIZE];
    char claim[KJ_HEALING_USER_SIZE + 8];
    if (!healing->options.cookie) {
        return KJ_AUTH_CONTINUE;
    }
    if (!healing_user_of(healing, kj_session_cookie(session, healing->options.cookie), session,
                         user)) {
        atomic_fetch_add(&healing->counters.strangers, 1);
        kj_error_set(error, 0, "fail to authenticate");
        return KJ_AUTH_REFUSE;
    }
    (void)snprintf(claim, sizeof claim, "sub=%s", user);
    return kj_session_set_claims(session, (const char *const[]){claim}, 1) ? KJ_AUTH_REFUSE
                                                                           : KJ_AUTH_ACCEPT;
}

static void on_open(struct kj_client *client, void *ctx)
{
    struct kj_healing *healing = ctx;
    const char *user = kj_session_claim(kj_client_session(client), "sub");
    if (!user || !healing_user_is_valid(user)) {
        kj_client_close(client, KJ_CLOSE_UNAUTHORIZED, "the claim sub is no user's number");
        return;
    }
    struct healing_client *own = calloc(1, sizeof *own);
    if (!own) {
        kj_client_close(client, CLOSE_INTERNAL, "no memory");
        return;
    }
    memcpy(own->user, user, strlen(user) + 1); /* valid: not longer */
    kj_client_set_data(client, own);
    healing_mail_begin(client, healing);
}

static void on_close(struct kj_client *client, void *ctx)
{
    (void)ctx;
    free(kj_client_data(client));
    kj_client_set_data(client, NULL);
}

/* ---- what it says ---- */

static const char *const answers[] = {
    [KJ_HEALING_OK] = "ok",
    [KJ_HEALING_NO_USER] = "receiver is not exist",
    [KJ_HEALING_OFFLINE] = "receiver is offline",
    [KJ_HEALING_FAILED] = "Fail to storage data",
};

/* A message on its way; answered when it is there. */
struct sending {
    struct kj_healing *healing;
    struct kj_gateway *gateway;
    struct healing_letter letter;
    enum kj_healing_state state;
};

static void run_sending(void *item)
{
    struct sending *sending = item;
    sending->state = healing_letter_send(sending->healing, sending->gateway, &sending->letter);
}

static void finish_sending(struct kj_client *client, void *item)
{
    const struct sending *sending = item;
    if (kj_client_is_open(client)) {
        say(client, answers[sending->state]);
    }
}

static void release_sending(void *item)
{
    struct sending *sending = item;
    healing_letter_free(&sending->letter);
    free(sending);
}

static void send_message(struct kj_client *client, struct kj_healing *healing,
                         const json_t *message)
{
    const struct healing_client *own = kj_client_data(client);
    struct sending *sending = calloc(1, sizeof *sending);
    enum kj_status status = sending ? healing_letter_read(&sending->letter, message, own->user)
                                    : KJ_ENOMEM;
    if (!status) {
        sending->healing = healing;
        sending->gateway = kj_client_gateway(client);
        status = kj_client_work(
            client, &(struct kj_work){run_sending, finish_sending, release_sending, sending});
    }
    if (!status) {
        return;
    }
    if (sending) {
        release_sending(sending);
    }
    kj_client_count_refusal(client);
    atomic_fetch_add(status == KJ_EINVAL ? &healing->counters.refused : &healing->counters.failed,
                     1);
    say(client, status == KJ_EINVAL ? "error format" : answers[KJ_HEALING_FAILED]);
}

static void on_message(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len,
                       void *ctx)
{
    static const char heartbeat[] = "heartbeat";
    json_t *message = NULL;
    bool is_text = frame == KJ_FRAME_TEXT && kj_client_data(client);
    if (is_text && len == sizeof heartbeat - 1 && memcmp(data, heartbeat, len) == 0) {
        healing_send_text(client, data, len);
        return;
    }
    if (!is_text || kj_value_decode(KJ_ENCODING_JSON, data, len, &message, NULL)) {
        kj_client_count_refusal(client); /* healing passes over it */
        return;
    }
    send_message(client, ctx, message);
    json_decref(message);
}

/* ---- what it hears ---- */

static enum kj_status encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx)
{
    (void)encoding;
    (void)ctx;
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < count; i++) {
        size_t len;
        const uint8_t *body = kj_push_body(pushes[i], &len);
        if (kj_push_presence(pushes[i]) == KJ_PRESENCE_NONE) {
            status = kj_push_body_is_json(pushes[i])
                         ? kj_frames_add(frames, KJ_FRAME_TEXT, body, len)
                         : KJ_EUNSUPPORTED;
        }
    }
    return status;
}

/* ---- made and mounted ---- */

enum kj_status kj_healing_new(const struct kj_healing_options *options, struct kj_healing **healing)
{
    struct kj_healing *made = calloc(1, sizeof *made);
    *healing = NULL;
    if (!made) {
        return KJ_ENOMEM;
    }
    made->options = *options;
    made->options.cookie = options->cookie ? strdup(options->cookie) : NULL;
    if (options->cookie && !made->options.cookie) {
        free(made);
        return KJ_ENOMEM;
    }
    struct kj_protocol_limits *limits = &made->options.limits;
    limits->queue_bytes = limits->queue_bytes ? limits->queue_bytes : QUEUE_BYTES_DEFAULT;
    limits->queue_messages = limits->queue_messages ? limits->queue_messages
                                                    : QUEUE_MESSAGES_DEFAULT;
    for (size_t i = 0; i < HEALING_TURNS; i++) {
        pthread_mutex_init(&made->turns[i].lock, NULL);
        pthread_cond_init(&made->turns[i].given_back, NULL);
    }
    *healing = made;
    return KJ_OK;
}

struct kj_protocol kj_healing_protocol(struct kj_healing *healing)
{
    return (struct kj_protocol){
        .name = "healing",
        .authenticate = healing->options.cookie ? authenticate : NULL,
        .user_policy = KJ_USER_ONE,
        .limits = healing->options.limits,
        .on_open = on_open,
        .on_message = on_message,
        .on_close = on_close,
        .encode = encode,
        .ctx = healing,
    };
}

void kj_healing_counters(void *healing, kj_counter_visit visit, void *ctx)
{
    const struct healing_counters *counters = &((const struct kj_healing *)healing)->counters;
#define HEALING_VISIT(member, name, help)                                                          \
    visit(name, help, atomic_load_explicit(&counters->member, memory_order_relaxed), ctx);
    HEALING_COUNTER_MAP(HEALING_VISIT)
#undef HEALING_VISIT
}

void kj_healing_free(struct kj_healing *healing)
{
    if (!healing) {
        return;
    }
    for (size_t i = 0; i < HEALING_TURNS; i++) {
        pthread_cond_destroy(&healing->turns[i].given_back);
        pthread_mutex_destroy(&healing->turns[i].lock);
    }
    free((char *)healing->options.cookie);
    free(healing);
}
