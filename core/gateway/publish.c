/* publish.c - pushes from here to the backend. Any thread. */
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "gateway/client.h"
#include "gateway/subject.h"
#include "gateway/topic.h"

#include <string.h>

enum { NS_PER_MS = 1000000, REASON_MAX = 123 };

/* An ID is the time in 42 bits of milliseconds, the node in 12, and a counter in 10. */
enum { COUNTER_BITS = 10, NODE_BITS = 12 };

static enum kj_status note(struct kj_gateway *gateway, enum kj_status status)
{
    static struct kj__log_limit limit;
    if (!status) {
        KJ__COUNT(gateway->options.counters, gateway_published);
        return status;
    }
    KJ__COUNT(gateway->options.counters, gateway_publish_failed);
    if (status == KJ_EFULL || status == KJ_ENOMEM) {
        kj__log_limited(&limit, KJ__LOG_ERROR, "gateway", "a push was not published: %s",
                        kj_status_text(status));
    }
    return status;
}

/* While the broker is away its word is for other nodes, later; this node's clients get theirs now,
 * and so it is no failure when the backend takes no more. */
static enum kj_status hand_over_at_home(struct kj_gateway *gateway, const char *words,
                                        const struct kj__buffer *encoded,
                                        struct kj_publication *publication)
{
    static struct kj__log_limit limit;
    enum kj_status status = kj__home_put(gateway, words, encoded);
    if (status) {
        return status;
    }
    status = kj_pubsub_publish(gateway->options.pubsub, publication);
    if (status) {
        KJ__COUNT(gateway->options.counters, gateway_publish_failed);
        kj__log_limited(&limit, KJ__LOG_ERROR, "gateway",
                        "the broker is away, and other nodes will not get a push: %s",
                        kj_status_text(status));
    }
    return KJ_OK;
}

static enum kj_status hand_over(struct kj_gateway *gateway, const char *words,
                                struct kj__push_parts *parts, bool *is_degraded)
{
    bool is_anyone_here = !parts->is_for_others;
    /* A login is told to other nodes; here it is known. */
    *is_degraded = parts->what != KJ__WHAT_LOGIN && kj_gateway_is_degraded(gateway);
    parts->is_for_others = *is_degraded || !is_anyone_here;
    struct kj__buffer subject;
    struct kj__buffer bytes;
    kj__buffer_init(&subject);
    kj__buffer_init(&bytes);
    kj__buffer_printf(&subject, "%s.%s", gateway->options.prefix, words);
    kj__buffer_append_byte(&subject, '\0');
    kj__push_encode(parts, &bytes);
    struct kj_publication *publication = NULL;
    enum kj_status status = subject.failed || bytes.failed ? KJ_ENOMEM : KJ_OK;
    if (!status) {
        status = kj_publication_new(
            &(struct kj_publication_options){.topic = (const char *)subject.data,
                                             .encoding = KJ_ENCODING_MSGPACK,
                                             .data = bytes.data,
                                             .len = bytes.len},
            &publication);
    }
    if (!status) {
        status = *is_degraded && is_anyone_here
                     ? hand_over_at_home(gateway, words, &bytes, publication)
                     : kj_pubsub_publish(gateway->options.pubsub, publication);
    }
    if (!status && *is_degraded) {
        KJ__COUNT(gateway->options.counters, gateway_degraded);
    }
    kj_publication_unref(publication);
    kj__buffer_fini(&bytes);
    kj__buffer_fini(&subject);
    return status;
}

enum kj_status kj__gateway_say(struct kj_gateway *gateway, const char *words,
                               const struct kj__push_parts *parts)
{
    struct kj__push_parts own = *parts;
    bool is_degraded;
    return note(gateway, atomic_load(&gateway->is_closed)
                             ? KJ_ECLOSED
                             : hand_over(gateway, words, &own, &is_degraded));
}

enum kj_status kj__gateway_mark(struct kj_gateway *gateway)
{
    char name[KJ_CLIENT_ID_SIZE];
    struct kj__buffer words;
    bool is_degraded;
    kj__buffer_init(&words);
    kj__node_words(gateway->node, &words);
    kj_client_id_format((uint64_t)gateway->node << KJ__CLIENT_BITS, name);
    struct kj__push_parts mark = {.what = KJ__WHAT_MARK,
                                  .node = gateway->node,
                                  .kind = KJ_TOPIC_SESSION,
                                  .name = name,
                                  .from = ""};
    enum kj_status status = words.failed
                                ? KJ_ENOMEM
                                : hand_over(gateway, (const char *)words.data, &mark, &is_degraded);
    kj__buffer_fini(&words);
    return status;
}

/* ---- pushes ---- */

uint64_t kj_gateway_make_id(struct kj_gateway *gateway)
{
    uint64_t now = (uint64_t)(kj__clock_wall_ns() / NS_PER_MS) << COUNTER_BITS;
    uint64_t last = atomic_load_explicit(&gateway->last_push, memory_order_relaxed);
    uint64_t next;
    do {
        next = now > last ? now : last + 1; /* with the clock set back, or more than fit */
    } while (!atomic_compare_exchange_weak(&gateway->last_push, &last, next));
    uint64_t node = gateway->node & ((1U << NODE_BITS) - 1);
    uint64_t counter = next & ((1U << COUNTER_BITS) - 1);
    return (next >> COUNTER_BITS) << (NODE_BITS + COUNTER_BITS) | node << COUNTER_BITS | counter;
}

int64_t kj_push_id_time_ms(uint64_t id)
{
    return (int64_t)(id >> (NODE_BITS + COUNTER_BITS));
}

static enum kj_status check(const struct kj_push_options *options)
{
    static const enum kj_topic_kind kinds[] = {
        [KJ_PRESENCE_JOINED] = KJ_TOPIC_ROOM,
        [KJ_PRESENCE_LEFT] = KJ_TOPIC_ROOM,
        [KJ_PRESENCE_RECEIPT] = KJ_TOPIC_USER,
        [KJ_PRESENCE_SUMMARY] = KJ_TOPIC_ROOM,
    };
    enum kj_presence presence = options->presence;
    if (options->kind < KJ_TOPIC_ALL || options->kind > KJ_TOPIC_DEVICE ||
        !kj__topic_name_is_valid(options->kind, options->name) ||
        (options->from && *options->from && !kj_name_is_valid(options->from)) ||
        presence < KJ_PRESENCE_NONE || presence > KJ_PRESENCE_SUMMARY ||
        (presence != KJ_PRESENCE_NONE && options->kind != kinds[presence]) ||
        (options->speed > 0 && options->kind != KJ_TOPIC_ALL) ||
        (options->body_is_json &&
         (options->body_len == 0 || !kj__utf8_is_valid(options->body, options->body_len)))) {
        return KJ_EINVAL;
    }
    return options->body_len > KJ_PUSH_BODY_MAX ? KJ_ELIMIT : KJ_OK;
}

/* Numbered and handed over in one go, so that the numbers are in the order of the topic. */
static enum kj_status publish_numbered(struct kj_gateway *gateway, const char *words,
                                       struct kj__push_parts *parts, bool *is_degraded)
{
    enum kj_status status = KJ_ENOMEM;
    uint64_t *last = kj__sequences_lock(&gateway->sequences, words);
    if (last) {
        parts->sequence = *last + 1;
        if (parts->id == 0) {
            parts->id = kj_gateway_make_id(gateway);
        }
        parts->time_ms = kj_push_id_time_ms(parts->id);
        status = hand_over(gateway, words, parts, is_degraded);
        *last += status == KJ_OK;
    }
    kj__sequences_unlock(&gateway->sequences, words);
    return status;
}

/* How many clients of this node it goes to. KJ_ENOTFOUND for a session of this node that is not
 * there. */
static enum kj_status find_reached(struct kj_gateway *gateway, enum kj_topic_kind kind,
                                   const char *name, const char *words, size_t *reached)
{
    uint64_t id = 0;
    bool is_session = kind == KJ_TOPIC_SESSION && kj_client_id_parse(name, &id);
    pthread_mutex_lock(&gateway->lock);
    const struct kj__topic *topic = is_session ? NULL : kj__topic_find(gateway, words);
    const struct kj_client *client = is_session ? kj__map_get(&gateway->clients, name) : NULL;
    bool is_there = client && !client->is_closing;
    *reached = topic ? topic->member_count : (size_t)is_there;
    pthread_mutex_unlock(&gateway->lock);
    return is_session && !is_there && kj__node_of_client(id) == gateway->node ? KJ_ENOTFOUND
                                                                              : KJ_OK;
}

enum kj_status kj_gateway_publish(struct kj_gateway *gateway, const struct kj_push_options *options,
                                  struct kj_push_receipt *receipt)
{
    struct kj_push_receipt own = {0};
    struct kj__buffer words;
    kj__buffer_init(&words);
    const char *name = options->name ? options->name : "";
    enum kj_status status = atomic_load(&gateway->is_closed) ? KJ_ECLOSED : check(options);
    if (!status) {
        kj__topic_words(options->kind, name, &words);
        status = words.failed ? KJ_ENOMEM : KJ_OK;
    }
    if (!status) {
        status = find_reached(gateway, options->kind, name, (const char *)words.data, &own.reached);
    }
    if (!status) {
        struct kj__push_parts parts = {.what = KJ__WHAT_PUSH,
                                       .id = options->id,
                                       .node = gateway->node,
                                       .kind = options->kind,
                                       .name = name,
                                       .from = options->from ? options->from : "",
                                       .op = options->op,
                                       .client = options->client,
                                       .presence = options->presence,
                                       .body_is_json = options->body_is_json,
                                       .at_once = options->at_once,
                                       .is_for_others = own.reached == 0,
                                       .speed = options->speed,
                                       .body = options->body,
                                       .body_len = options->body_len};
        status = publish_numbered(gateway, (const char *)words.data, &parts, &own.is_degraded);
        own.id = parts.id;
    }
    kj__buffer_fini(&words);
    if (receipt) {
        *receipt = status ? (struct kj_push_receipt){0} : own;
    }
    return note(gateway, status);
}

bool kj_gateway_is_degraded(struct kj_gateway *gateway)
{
    return kj_pubsub_is_away(gateway->options.pubsub);
}

/* ---- kicks ---- */

static bool is_close_code(uint16_t code)
{
    return code == KJ__CLOSE_NORMAL || code == KJ__CLOSE_GOING_AWAY || code == KJ__CLOSE_POLICY ||
           code == KJ__CLOSE_INTERNAL || code == KJ__CLOSE_TRY_LATER ||
           (code >= 3000 && code <= 4999);
}

enum kj_status kj_gateway_kick(struct kj_gateway *gateway, enum kj_topic_kind kind,
                               const char *name, uint16_t code, const char *reason)
{
    reason = reason ? reason : "";
    name = name ? name : "";
    size_t len = strlen(reason);
    if (kind < KJ_TOPIC_ALL || kind > KJ_TOPIC_DEVICE || !kj__topic_name_is_valid(kind, name) ||
        !is_close_code(code) || len > REASON_MAX ||
        !kj__utf8_is_valid((const uint8_t *)reason, len)) {
        return note(gateway, KJ_EINVAL);
    }
    struct kj__buffer words;
    size_t reached;
    kj__buffer_init(&words);
    kj__topic_words(kind, name, &words);
    enum kj_status status = words.failed ? KJ_ENOMEM
                                         : find_reached(gateway, kind, name,
                                                        (const char *)words.data, &reached);
    if (status) {
        kj__buffer_fini(&words);
        return note(gateway, status);
    }
    status = kj__gateway_say(gateway, (const char *)words.data,
                             &(struct kj__push_parts){.what = KJ__WHAT_KICK,
                                                      .node = gateway->node,
                                                      .kind = kind,
                                                      .name = name,
                                                      .from = "",
                                                      .op = code,
                                                      .is_for_others = reached == 0,
                                                      .body = (const uint8_t *)reason,
                                                      .body_len = len});
    kj__buffer_fini(&words);
    return status;
}
