/* healing_letter.c - messages to one user: read, completed, and sent on their way. */
#include "handlers/healing.h"

#include <inttypes.h>
#include <kujata/encoding.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_SIZE = 40 };

bool healing_user_is_valid(const char *user)
{
    size_t len = strlen(user);
    return len > 0 && len < KJ_HEALING_USER_SIZE && *user != '0' &&
           strspn(user, "0123456789") == len;
}

/* ---- read ---- */

/* A user that is a number from 1 on. */
static bool read_user(const json_t *message, const char *name, char user[KJ_HEALING_USER_SIZE])
{
    const json_t *value = json_object_get(message, name);
    int len = snprintf(user, KJ_HEALING_USER_SIZE, "%" JSON_INTEGER_FORMAT,
                       json_integer_value(value));
    return json_is_integer(value) && json_integer_value(value) > 0 && len < KJ_HEALING_USER_SIZE;
}

static bool is_text(const json_t *value)
{
    return !value || json_is_string(value);
}

static const char *text_or_empty(const json_t *value)
{
    const char *text = json_string_value(value);
    return text ? text : "";
}

enum kj_status healing_letter_read(struct healing_letter *letter, const json_t *message,
                                   const char *own)
{
    const json_t *text = json_object_get(message, "message");
    const json_t *recording = json_object_get(message, "user");
    const json_t *song = json_object_get(message, "song");
    const json_t *song_id = json_object_get(message, "songId");
    *letter = (struct healing_letter){.message = NULL};
    if (!read_user(message, "fromUser", letter->from) ||
        !read_user(message, "toUser", letter->to) || (own && strcmp(letter->from, own) != 0) ||
        json_string_length(text) == 0 || !is_text(recording) || !is_text(song) ||
        (song_id && !json_is_integer(song_id))) {
        return KJ_EINVAL;
    }
    letter->message = json_pack("{s:O, s:O, s:O, s:s, s:s, s:I}", "fromUser",
                                json_object_get(message, "fromUser"), "toUser",
                                json_object_get(message, "toUser"), "message", text, "user",
                                text_or_empty(recording), "song", text_or_empty(song), "songId",
                                json_integer_value(song_id));
    return letter->message ? KJ_OK : KJ_ENOMEM;
}

enum kj_status healing_letter_read_system(struct healing_letter *letter, const json_t *message)
{
    *letter = (struct healing_letter){.message = NULL};
    if (!read_user(message, "uid", letter->to)) {
        return KJ_EINVAL;
    }
    letter->message = json_deep_copy(message);
    return letter->message ? KJ_OK : KJ_ENOMEM;
}

void healing_letter_free(struct healing_letter *letter)
{
    json_decref(letter->message);
    letter->message = NULL;
}

/* ---- completed ---- */

/* RFC 3339 with the offset in digits, as healing2021's page takes it apart. */
static void write_time(int64_t time_ms, char text[TIME_SIZE])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm local;
    localtime_r(&seconds, &local);
    long minutes = local.tm_gmtoff / 60;
    size_t len = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &local);
    (void)snprintf(text + len, TIME_SIZE - len, ".%03d%c%02ld:%02ld", (int)(time_ms % 1000),
                   minutes < 0 ? '-' : '+', labs(minutes) / 60, labs(minutes) % 60);
}

static json_t *make_name(const struct kj_healing *healing, const char *user)
{
    const struct kj_healing_options *options = &healing->options;
    char name[KJ_HEALING_NAME_SIZE] = "";
    bool has_name = options->name_of && options->name_of(user, name, options->ctx);
    name[sizeof name - 1] = '\0';
    json_t *text = has_name ? json_string(name) : NULL; /* NULL for what is no UTF-8 */
    return text ? text : json_string(user);
}

static bool complete(const struct kj_healing *healing, const struct healing_letter *letter,
                     uint64_t id)
{
    char number[HEALING_ID_SIZE];
    char when[TIME_SIZE];
    json_t *message = letter->message;
    (void)snprintf(number, sizeof number, "%016" PRIx64, id);
    write_time(kj_push_id_time_ms(id), when);
    bool is_whole = json_object_set_new(message, "id", json_string(number)) == 0 &&
                    json_object_set_new(message, "time", json_string(when)) == 0 &&
                    json_object_set_new(message, "isSend", json_integer(0)) == 0;
    if (is_whole && *letter->from) {
        is_whole = json_object_set_new(message, "fromUserName", make_name(healing, letter->from)) ==
                       0 &&
                   json_object_set_new(message, "toUserName", make_name(healing, letter->to)) == 0;
    }
    return is_whole;
}

/* ---- sent ---- */

static enum kj_status post(struct kj_healing *healing, struct kj_gateway *gateway,
                           const struct healing_letter *letter)
{
    uint8_t *body = NULL;
    size_t len = 0;
    uint64_t id = kj_gateway_make_id(gateway);
    if (!complete(healing, letter, id)) {
        return KJ_ENOMEM;
    }
    enum kj_status status = kj_value_encode(KJ_ENCODING_JSON, letter->message, &body, &len);
    if (!status) {
        status = healing_mail_post(
            healing, gateway,
            &(struct kj_push_options){.id = id,
                                      .kind = KJ_TOPIC_USER,
                                      .name = letter->to,
                                      .from = *letter->from ? letter->from : NULL,
                                      .op = *letter->from ? HEALING_FROM_USER : HEALING_FROM_SYSTEM,
                                      .body = body,
                                      .body_len = len,
                                      .body_is_json = true});
    }
    free(body);
    return status;
}

enum kj_healing_state healing_letter_send(struct kj_healing *healing, struct kj_gateway *gateway,
                                          struct healing_letter *letter)
{
    const struct kj_healing_options *options = &healing->options;
    struct healing_counters *counters = &healing->counters;
    atomic_fetch_add(&counters->messages, 1);
    if (options->user_exists && !options->user_exists(letter->to, options->ctx)) {
        atomic_fetch_add(&counters->refused, 1);
        return KJ_HEALING_NO_USER;
    }
    switch (post(healing, gateway, letter)) {
    case KJ_OK:
        return KJ_HEALING_OK;
    case KJ_ENOTFOUND:
        atomic_fetch_add(&counters->offline, 1);
        return KJ_HEALING_OFFLINE;
    default:
        atomic_fetch_add(&counters->failed, 1);
        return KJ_HEALING_FAILED;
    }
}

/* ---- what business code sends ---- */

enum kj_status kj_healing_send(struct kj_healing *healing, struct kj_gateway *gateway,
                               const json_t *message, enum kj_healing_state *state)
{
    struct healing_letter letter;
    enum kj_status status = healing_letter_read(&letter, message, NULL);
    *state = status ? KJ_HEALING_FAILED : healing_letter_send(healing, gateway, &letter);
    healing_letter_free(&letter);
    return status;
}

enum kj_status kj_healing_tell(struct kj_healing *healing, struct kj_gateway *gateway,
                               const json_t *message, enum kj_healing_state *state)
{
    struct healing_letter letter;
    enum kj_status status = healing_letter_read_system(&letter, message);
    *state = status ? KJ_HEALING_FAILED : healing_letter_send(healing, gateway, &letter);
    healing_letter_free(&letter);
    return status;
}
