/* events.c - publications in, events out; see events.h. */
#include "dispatch/events.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "codec/error_array.h"
#include "codec/event.h"
#include "codec/tracking.h"
#include "dispatch/message.h"
#include "dispatch/protocol.h"
#include "model/event.h"
#include "model/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A node says it is up only once it hears what others publish, or after this time. */
enum { PING_TIMEOUT_MS = 2000, QUIET_INTERVAL_MS = 10 };

/* ---- publishing ---- */

/* TOPIC.IDENTITY.TYPE. KJ_EINVAL for names that are not one word: encoded, they would not be what
 * others subscribe to. */
static enum kj_status make_subject(const struct kj__events *events, const struct kj_event *event,
                                   struct kj__buffer *subject)
{
    const struct kj__events_options *options = &events->options;
    const char *identity = kj_event_identity(event);
    const char *type = kj_event_type(event);
    kj__buffer_printf(subject, "%s.%s.%s", options->topic, identity, type);
    kj__buffer_append_byte(subject, '\0');
    if (subject->failed) {
        return KJ_ENOMEM;
    }
    if (!strchr(identity, '.') && !strchr(type, '.') &&
        kj_topic_is_valid((const char *)subject->data)) {
        return KJ_OK;
    }
    static struct kj__log_limit limit;
    KJ__COUNT(options->counters, events_bad_subject);
    kj__log_limited(&limit, KJ__LOG_ERROR, "dispatch",
                    "\"%.200s\" of \"%.200s\" makes no subject: with subject_hierarchies "
                    "(--subject-hierarchies) both are words without dots, blanks, * and >",
                    type, identity);
    return KJ_EINVAL;
}

/* In msgpack, whatever the event was born in. `tracking` may be NULL. */
static enum kj_status encode_and_publish(const struct kj__events_options *options,
                                         const struct kj_event *event, const char *topic,
                                         const json_t *tracking)
{
    struct kj__buffer bytes;
    struct kj_publication *publication = NULL;
    kj__buffer_init(&bytes);
    enum kj_status status = kj__model_encode_event(options->model, event, KJ_ENCODING_MSGPACK,
                                                   &bytes);
    if (!status) {
        status = kj_publication_new(
            &(struct kj_publication_options){.topic = topic,
                                             .encoding = KJ_ENCODING_MSGPACK,
                                             .data = bytes.data,
                                             .len = bytes.len,
                                             .tracking_data = tracking},
            &publication);
    }
    if (!status) {
        status = kj_pubsub_publish(options->pubsub, publication);
    }
    kj_publication_unref(publication);
    kj__buffer_fini(&bytes);
    return status;
}

/* Without what is secret, on the subject that is its own. */
static enum kj_status publish_shown(const struct kj__events *events, const struct kj_event *event)
{
    const struct kj__events_options *options = &events->options;
    struct kj__buffer subject;
    struct kj_event *shown;
    kj__buffer_init(&subject);
    enum kj_status status = kj__model_hide_secrets(options->model, event, &shown);
    if (!status && options->subject_hierarchies) {
        status = make_subject(events, event, &subject);
    }
    if (!status) {
        status = encode_and_publish(options, shown,
                                    subject.data ? (const char *)subject.data : options->topic,
                                    kj__event_tracking(event));
    }
    kj__buffer_fini(&subject);
    kj_event_unref(shown);
    return status;
}

enum kj_status kj__events_publish(struct kj__events *events, const struct kj_event *event)
{
    const struct kj__events_options *options = &events->options;
    const struct kj_publish_handler *handler = options->publish;
    if (handler->should_publish && !handler->should_publish(event, handler->ctx)) {
        KJ__COUNT(options->counters, events_publish_refused);
        return KJ_EREFUSED;
    }
    enum kj_status status = publish_shown(events, event);
    if (status) {
        static struct kj__log_limit limit;
        KJ__COUNT(options->counters, events_publish_failed);
        kj__log_limited(&limit, KJ__LOG_ERROR, "dispatch", "an event was not published: %s",
                        kj_status_text(status));
    } else {
        KJ__COUNT(options->counters, events_published);
    }
    return status;
}

/* ---- dispatching, on the backend's thread ---- */

static void run_post(struct kj__job *job, struct kj__shard *shard)
{
    struct kj__message *message = ((struct kj__message_post *)job)->message;
    kj__dispatch_round_note(&shard->dispatch, message->arrived_ns);
    kj__events_deliver(message->endpoint->ctx, shard, message);
    kj__message_unref(message);
}

static void post_to_shards(struct kj__delivery *delivery, struct kj__message *message)
{
    for (size_t i = 0; i < delivery->shard_count; i++) {
        struct kj__message_post *post = &message->posts[i];
        *post = (struct kj__message_post){.job.run = run_post, .message = message};
        kj__message_ref(message);
        if (!kj__shard_post(&delivery->shards[i], &post->job)) {
            KJ__COUNT(delivery->counters, dropped_no_memory);
            kj__message_unref(message);
        }
    }
}

/* Lets the event carry what its publication carried. */
static void attach_tracking(struct kj__events *events, struct kj_event *event,
                            const struct kj_publication *publication)
{
    json_t *tracking;
    enum kj_status status = kj_publication_tracking_data(publication, &tracking);
    if (!status && tracking) {
        status = kj__tracking_check(tracking);
    }
    if (status) {
        KJ__COUNT(events->options.counters, tracking_ignored);
        json_decref(tracking);
    } else if (tracking) {
        kj__event_set_tracking_take(event, tracking);
    }
}

static const char *const *related_to(const struct kj__events *events, const char *name)
{
    const struct kj_dispatch_handler *handler = events->options.dispatch;
    if (handler->related_identities) {
        return handler->related_identities(name, handler->ctx);
    }
    const struct kj_model *model = events->options.model;
    const struct kj_identity *identity = model ? kj_model_identity(model, name) : NULL;
    return identity ? kj__identity_related(identity) : NULL;
}

static void on_publication(struct kj_publication *publication, void *ctx)
{
    int64_t arrived_ns = kj__clock_monotonic_ns();
    struct kj__events *events = ctx;
    const struct kj__events_options *options = &events->options;
    const struct kj_dispatch_handler *handler = options->dispatch;
    size_t len;
    const uint8_t *data = kj_publication_data(publication, &len);
    struct kj_event *event;
    KJ__COUNT(options->counters, events_received);
    enum kj_status status = kj_event_decode(data, len, kj_publication_encoding(publication),
                                            &event);
    if (status) {
        static struct kj__log_limit limit;
        KJ__COUNT(options->counters, events_undecodable);
        kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                        "a publication on %s holds no event: %s", kj_publication_topic(publication),
                        kj_status_text(status));
        return;
    }
    attach_tracking(events, event, publication);
    struct kj__message *message = kj__message_new_take(event, handler, options->delivery,
                                                       &events->endpoint,
                                                       kj__interests_numbers(&events->interests));
    if (!message) {
        KJ__COUNT(options->counters, dropped_no_memory);
        return;
    }
    message->arrived_ns = arrived_ns;
    message->model = options->model;
    message->related = related_to(events, kj_event_identity(event));
    if (handler->summarize_event &&
        handler->summarize_event(event, &message->summary, handler->ctx) != KJ_OK) {
        static struct kj__log_limit limit;
        KJ__COUNT(options->counters, events_summary_failed);
        kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                        "an event of \"%.200s\" was dropped: the dispatch handler made no summary "
                        "of it",
                        kj_event_identity(event));
    } else {
        message->stream = events->stream;
        message->weight = options->limits->resume_events > 0 ? kj__message_weigh(message) : 0;
        message->number = atomic_fetch_add(&events->last_number, 1) + 1;
        post_to_shards(options->delivery, message);
    }
    kj__message_unref(message);
}

/* Whether on_publication would not wait: no shard's inbox is half full, the caller is no shard,
 * which would wait for itself, and the application, which expects a thread of the backend, has no
 * say in it. */
static bool may_run_here(void *ctx)
{
    const struct kj__events *events = ctx;
    const struct kj__delivery *delivery = events->options.delivery;
    const struct kj_dispatch_handler *handler = events->options.dispatch;
    bool is_prompt = !handler->summarize_event && !handler->related_identities;
    for (size_t i = 0; i < delivery->shard_count && is_prompt; i++) {
        struct kj__shard *shard = &delivery->shards[i];
        is_prompt = !pthread_equal(shard->thread, pthread_self()) &&
                    kj__queue_count(&shard->inbox) < KJ__INBOX_LIMIT / 2;
    }
    return is_prompt;
}

/* ---- life ---- */

/* What every session without a push config has: the interest of an empty one. */
static enum kj_status make_everything(struct kj__events *events)
{
    static const char empty[] = "{}";
    struct kj_error error;
    struct kj_push_config *config;
    enum kj_status status = kj_push_config_decode((const uint8_t *)empty, strlen(empty),
                                                  KJ_ENCODING_JSON, &config, &error);
    return status ? status
                  : kj__interests_get_take(&events->interests, config, &events->everything, &error);
}

static void name_stream(char name[KJ__STREAM_SIZE])
{
    uint64_t number;
    kj__random_bytes(&number, sizeof number);
    snprintf(name, KJ__STREAM_SIZE, "%016" PRIx64, number);
}

static enum kj_status init_shards(struct kj__events *events)
{
    struct kj__delivery *delivery = events->options.delivery;
    events->rosters = calloc(delivery->shard_count, sizeof *events->rosters);
    events->replays = calloc(delivery->shard_count, sizeof *events->replays);
    bool is_made = events->rosters && events->replays;
    for (size_t i = 0; events->rosters && i < delivery->shard_count; i++) {
        kj__roster_init(&events->rosters[i], &delivery->shards[i], i, events->everything);
    }
    for (size_t i = 0; is_made && i < delivery->shard_count; i++) {
        is_made = kj__replays_init(&events->replays[i], events, &delivery->shards[i]);
    }
    return is_made ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__events_init(struct kj__events *events, const struct kj__events_options *options)
{
    struct kj__delivery *delivery = options->delivery;
    *events = (struct kj__events){.options = *options};
    pthread_mutex_init(&events->addresses_lock, NULL);
    kj__map_init(&events->addresses);
    const struct kj_limits *limits = options->limits;
    events->endpoint = (struct kj__endpoint){
        .protocol = &kj__events_protocol,
        .message_bytes = limits->message_bytes,
        .message_fragments = limits->message_fragments,
        .queue_bytes = limits->session_queue_bytes,
        .queue_messages = limits->session_queue_messages,
        .queue_policy = options->queue_policy,
        .ping_interval_ms = limits->ping_interval_ms,
        .pong_timeout_ms = limits->pong_timeout_ms,
        .write_stall_ms = limits->write_stall_ms,
        .close_timeout_ms = limits->close_timeout_ms,
        .token_cookie = options->token_cookie,
        .ctx = events,
    };
    kj__renewals_init(&events->renewals, events);
    kj__strikes_init(&events->strikes, limits->bad_config_wait_ms, limits->bad_config_wait_max_ms);
    kj__slab_init(&events->sessions_slab, sizeof(struct kj_session));
    kj__interests_init(&events->interests, delivery->shard_count, options->counters);
    enum kj_status status = make_everything(events);
    name_stream(events->stream);
    enum kj_status endings = kj__endings_init(&events->endings, delivery, options->pubsub,
                                              options->node_prefix);
    status = status ? status : endings;
    return status ? status : init_shards(events);
}

static enum kj_status subscribe(struct kj__events *events)
{
    const struct kj__events_options *options = &events->options;
    const struct kj_subscribe_options subscribe_options = {.may_run_here = may_run_here};
    struct kj__buffer pattern;
    kj__buffer_init(&pattern);
    kj__buffer_printf(&pattern, "%s%s", options->topic, options->subject_hierarchies ? ".>" : "");
    kj__buffer_append_byte(&pattern, '\0');
    enum kj_status status = pattern.failed
                                ? KJ_ENOMEM
                                : kj_pubsub_subscribe(options->pubsub, (const char *)pattern.data,
                                                      &subscribe_options, on_publication, events,
                                                      &events->subscription);
    kj__buffer_fini(&pattern);
    return status;
}

enum kj_status kj__events_start(struct kj__events *events)
{
    struct kj_pubsub *pubsub = events->options.pubsub;
    enum kj_status status = subscribe(events);
    status = status ? status : kj__endings_start(&events->endings);
    if (!status && kj_pubsub_ping(pubsub, PING_TIMEOUT_MS) != KJ_OK) {
        kj__log(KJ__LOG_WARNING, "dispatch",
                "the broker does not answer yet; until it does, events of this node wait and "
                "those of others are not heard");
    }
    if (!status && events->options.authenticator_count > 0) {
        status = kj__renewals_start(&events->renewals, events->options.renewal_threads);
    }
    return status;
}

void kj__events_close(struct kj__events *events)
{
    atomic_store(&events->is_closed, true);
}

/* No backend says when it has delivered everything; a stretch without a publication does. */
static void wait_until_quiet(struct kj__events *events, uint32_t timeout_ms)
{
    uint64_t deadline = kj__clock_monotonic_ms() + timeout_ms;
    uint64_t seen = UINT64_MAX;
    while (kj__clock_monotonic_ms() < deadline) {
        uint64_t received = atomic_load(&events->options.counters->events_received);
        if (received == seen) {
            return;
        }
        seen = received;
        struct timespec pause = {.tv_nsec = QUIET_INTERVAL_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

void kj__events_stop(struct kj__events *events, uint32_t timeout_ms)
{
    kj__renewals_stop(&events->renewals);
    kj__endings_stop(&events->endings);
    if (events->subscription) {
        wait_until_quiet(events, timeout_ms);
        kj_pubsub_unsubscribe(events->options.pubsub, events->subscription);
        events->subscription = NULL;
    }
}

void kj__events_fini(struct kj__events *events)
{
    for (size_t i = 0; events->rosters && i < events->options.delivery->shard_count; i++) {
        kj__roster_fini(&events->rosters[i]);
    }
    for (size_t i = 0; events->replays && i < events->options.delivery->shard_count; i++) {
        kj__replays_fini(&events->replays[i]);
    }
    free(events->replays);
    free(events->rosters);
    kj__interest_unref(events->everything);
    kj__interests_fini(&events->interests);
    kj__endings_fini(&events->endings);
    kj__renewals_fini(&events->renewals);
    kj__strikes_fini(&events->strikes);
    kj__slab_fini(&events->sessions_slab);
    kj__map_fini(&events->addresses, NULL);
    pthread_mutex_destroy(&events->addresses_lock);
}
