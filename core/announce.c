/* announce.c - see announce.h. */
#include "core/announce.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/gateway_ping.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DEFAULT_INTERVAL_MS = 5000,
    DEFAULT_GOODBYE_TIMEOUT_MS = 10000,
    DEFAULT_GOODBYE_PAUSE_MS = 1000,
    TEXT_MAX = 255, /* of name, endpoint and prefix */
    MS_PER_S = 1000,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
};

struct kj__announce {
    struct kj_announce_options options; /* strings lead to the copies below */
    char *topic, *name, *endpoint, *prefix, *push_endpoint;
    json_t *versions;
    struct kj__gateway_limit *limits;
    size_t limit_count;
    struct kj_pubsub *pubsub;
    struct kj__counters *counters;
    struct kj__route_lists routes;
    int64_t used_ns, seen_ns; /* processor time and the clock at the last look */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, stopping; /* guarded by lock */
    pthread_t thread;
};

/* ---- what a ping says ---- */

static int64_t processor_time_ns(void)
{
    struct timespec used = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * NS_PER_S + used.tv_nsec;
}

/* Percent of the cores we may use that were used since the last look. */
static double take_load(struct kj__announce *announce)
{
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int64_t used = processor_time_ns(), now = kj__clock_monotonic_ns();
    int64_t elapsed = now - announce->seen_ns;
    double share = elapsed > 0 ? (double)(used - announce->used_ns) / (double)elapsed : 0;
    announce->used_ns = used;
    announce->seen_ns = now;
    return 100 * share / cores;
}

static struct kj__gateway_ping hello_of(struct kj__announce *announce)
{
    return (struct kj__gateway_ping){.status = KJ__GATEWAY_HELLO,
                                     .name = announce->name,
                                     .endpoint = announce->endpoint,
                                     .prefix = announce->prefix,
                                     .push_endpoint = announce->push_endpoint,
                                     .load = take_load(announce),
                                     .routes = &announce->routes,
                                     .versions = announce->versions,
                                     .limits = announce->limits,
                                     .limit_count = announce->limit_count};
}

static struct kj__gateway_ping goodbye_of(const struct kj__announce *announce)
{
    return (struct kj__gateway_ping){.status = KJ__GATEWAY_GOODBYE,
                                     .name = announce->name,
                                     .endpoint = announce->endpoint,
                                     .prefix = announce->prefix,
                                     .push_endpoint = ""};
}

static enum kj_status make_publication(const struct kj__announce *announce,
                                       const struct kj__gateway_ping *ping,
                                       struct kj_publication **publication)
{
    struct kj__buffer bytes;
    kj__buffer_init(&bytes);
    *publication = NULL;
    enum kj_status status = kj__gateway_ping_encode(ping, &bytes);
    if (!status && bytes.failed) {
        status = KJ_ENOMEM;
    }
    if (!status) {
        const struct kj_publication_options options = {.topic = announce->topic,
                                                       .data = bytes.data,
                                                       .len = bytes.len,
                                                       .encoding = KJ_ENCODING_MSGPACK};
        status = kj_publication_new(&options, publication);
    }
    kj__buffer_fini(&bytes);
    return status;
}

/* ---- saying it ---- */

static void say_hello(struct kj__announce *announce)
{
    static struct kj__log_limit limit;
    struct kj_publication *publication;
    const struct kj__gateway_ping ping = hello_of(announce);
    enum kj_status status = make_publication(announce, &ping, &publication);
    if (!status) {
        status = kj_pubsub_publish(announce->pubsub, publication);
    }
    kj_publication_unref(publication);
    if (status) {
        KJ__COUNT(announce->counters, announcements_failed);
        kj__log_limited(&limit, KJ__LOG_WARNING, "announce",
                        "gateways were not told of this node on %s (--announce-topic): %s",
                        announce->topic, kj_status_text(status));
    } else {
        KJ__COUNT(announce->counters, announcements);
    }
}

/* Lock held; false: it is time to stop. */
static bool wait_for_next(struct kj__announce *announce)
{
    uint64_t at_ms = kj__clock_monotonic_ms() + announce->options.interval_ms;
    const struct timespec at = {.tv_sec = (time_t)(at_ms / MS_PER_S),
                                .tv_nsec = (long)(at_ms % MS_PER_S) * NS_PER_MS};
    while (!announce->stopping &&
           pthread_cond_timedwait(&announce->changed, &announce->lock, &at) == 0) {
    }
    return !announce->stopping;
}

static void *run(void *arg)
{
    struct kj__announce *announce = arg;
    pthread_mutex_lock(&announce->lock);
    do {
        pthread_mutex_unlock(&announce->lock);
        say_hello(announce);
        pthread_mutex_lock(&announce->lock);
    } while (wait_for_next(announce));
    pthread_mutex_unlock(&announce->lock);
    return NULL;
}

/* It receives no signals, so that they reach the application's own threads. */
static bool start_thread(struct kj__announce *announce)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&announce->thread, NULL, run, announce) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        pthread_setname_np(announce->thread, "kj-announce");
    }
    return started;
}

enum kj_status kj__announce_start(struct kj__announce *announce, const struct kj__api *api)
{
    if (!announce) {
        return KJ_OK;
    }
    enum kj_status status = kj__route_lists_make(api, &announce->routes);
    if (!status) {
        announce->started = start_thread(announce);
        status = announce->started ? KJ_OK : KJ_ENOMEM;
    }
    return status;
}

/* Requests that gateways have on their way to us may still arrive. */
static void pause_for_others(const struct kj__announce *announce)
{
    uint32_t ms = announce->options.goodbye_pause_ms;
    struct timespec left = {.tv_sec = ms / MS_PER_S, .tv_nsec = (long)(ms % MS_PER_S) * NS_PER_MS};
    nanosleep(&left, NULL);
}

static void say_goodbye(struct kj__announce *announce)
{
    struct kj_publication *publication;
    const struct kj__gateway_ping ping = goodbye_of(announce);
    enum kj_status status = make_publication(announce, &ping, &publication);
    if (!status) {
        status = kj_pubsub_request_wait(announce->pubsub, publication, KJ_RESPONSE_ACK,
                                        announce->options.goodbye_timeout_ms, NULL);
    }
    kj_publication_unref(publication);
    if (status) {
        KJ__COUNT(announce->counters, goodbyes_unacknowledged);
        kj__log(KJ__LOG_WARNING, "announce", "no gateway on %s acknowledged the goodbye: %s",
                announce->topic,
                status == KJ_ENOTFOUND ? "none is listening" : kj_status_text(status));
    } else {
        KJ__COUNT(announce->counters, announcements);
        pause_for_others(announce);
    }
}

void kj__announce_stop(struct kj__announce *announce)
{
    if (!announce || !announce->started) {
        return;
    }
    pthread_mutex_lock(&announce->lock);
    announce->stopping = true;
    pthread_cond_signal(&announce->changed);
    pthread_mutex_unlock(&announce->lock);
    pthread_join(announce->thread, NULL);
    announce->started = false;
    say_goodbye(announce);
}

/* ---- what it is told ---- */

static enum kj_status refuse(struct kj_error *error, const char *text)
{
    kj_error_set(error, 0, "option announce: %s", text);
    return KJ_EINVAL;
}

static bool is_text(const char *text)
{
    return text && *text && strlen(text) <= TEXT_MAX;
}

static enum kj_status check(const struct kj_server_options *options, struct kj_error *error)
{
    const struct kj_announce_options *announce = &options->announce;
    const char *name = announce->name ? announce->name : options->http.service_name;
    const char *colon = announce->endpoint ? strrchr(announce->endpoint, ':') : NULL;
    if (!options->pubsub) {
        return refuse(error, "there is no pubsub to announce on");
    }
    if (!kj_topic_is_valid(announce->topic)) {
        return refuse(error, "topic (--announce-topic) is not words joined by dots");
    }
    if (!is_text(name)) {
        return refuse(error, "a name (--announce-name) of 1 to 255 bytes is needed");
    }
    if (!is_text(announce->endpoint) || !colon || colon == announce->endpoint || !colon[1] ||
        colon[1 + strspn(colon + 1, "0123456789")]) {
        return refuse(error, "an endpoint (--announce-endpoint) HOST:PORT is needed");
    }
    if (announce->prefix && *announce->prefix && !is_text(announce->prefix)) {
        return refuse(error, "prefix (--announce-prefix) has more than 255 bytes");
    }
    return KJ_OK;
}

/* The policy has checked that each is NAME=VERSION. */
static bool copy_versions(struct kj__announce *announce, const char *const *versions)
{
    if (!versions || !*versions) {
        return true;
    }
    announce->versions = json_object();
    for (; announce->versions && *versions; versions++) {
        char *name = strdup(*versions);
        char *equals = name ? strchr(name, '=') : NULL;
        bool is_set = false;
        if (equals) {
            *equals = '\0';
            is_set = !json_object_set_new(announce->versions, name, json_string(equals + 1));
        }
        free(name);
        if (!is_set) {
            return false;
        }
    }
    return announce->versions != NULL;
}

/* The policy has checked that the model has each. */
static bool copy_limits(struct kj__announce *announce, const struct kj_server_options *options)
{
    const struct kj_http_policy *http = &options->http;
    if (http->identity_rate_count == 0) {
        return true;
    }
    announce->limits = calloc(http->identity_rate_count, sizeof *announce->limits);
    for (size_t i = 0; announce->limits && i < http->identity_rate_count; i++) {
        const struct kj_identity_rate *rate = &http->identity_rates[i];
        const struct kj_identity *identity = kj_model_identity(options->model, rate->identity);
        if (identity && rate->rate.per_second) {
            announce->limits[announce->limit_count++] = (struct kj__gateway_limit){
                .category = kj_identity_category(identity), .rate = rate->rate};
        }
    }
    return announce->limits != NULL;
}

static bool copy_text(char **to, const char *text, const char *fallback)
{
    *to = strdup(text ? text : fallback);
    return *to != NULL;
}

static bool copy_all(struct kj__announce *announce, const struct kj_server_options *options)
{
    const struct kj_announce_options *from = &options->announce;
    return copy_text(&announce->topic, from->topic, "") &&
           copy_text(&announce->name, from->name, options->http.service_name) &&
           copy_text(&announce->endpoint, from->endpoint, "") &&
           copy_text(&announce->prefix, from->prefix, "") &&
           copy_text(&announce->push_endpoint, options->push_endpoint, "/events") &&
           copy_versions(announce, options->http.service_versions) &&
           copy_limits(announce, options);
}

static void use_default(uint32_t *value, uint32_t fallback)
{
    *value = *value ? *value : fallback;
}

static void init(struct kj__announce *announce, const struct kj_server_options *options)
{
    pthread_condattr_t attributes;
    announce->options = options->announce;
    use_default(&announce->options.interval_ms, DEFAULT_INTERVAL_MS);
    use_default(&announce->options.goodbye_timeout_ms, DEFAULT_GOODBYE_TIMEOUT_MS);
    use_default(&announce->options.goodbye_pause_ms, DEFAULT_GOODBYE_PAUSE_MS);
    announce->pubsub = options->pubsub;
    announce->used_ns = processor_time_ns();
    announce->seen_ns = kj__clock_monotonic_ns();
    pthread_mutex_init(&announce->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&announce->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum kj_status kj__announce_new(const struct kj_server_options *options,
                                struct kj__counters *counters, struct kj__announce **announce,
                                struct kj_error *error)
{
    *announce = NULL;
    if (!options->announce.topic) {
        return KJ_OK;
    }
    enum kj_status status = check(options, error);
    if (status) {
        return status;
    }
    struct kj__announce *made = calloc(1, sizeof *made);
    if (made) {
        init(made, options);
        made->counters = counters;
    }
    if (!made || !copy_all(made, options)) {
        kj_error_set(error, 0, "no memory for announcements to gateways");
        kj__announce_free(made);
        return KJ_ENOMEM;
    }
    *announce = made;
    return KJ_OK;
}

void kj__announce_free(struct kj__announce *announce)
{
    if (!announce) {
        return;
    }
    kj__route_lists_fini(&announce->routes);
    json_decref(announce->versions);
    free(announce->limits);
    free(announce->push_endpoint);
    free(announce->prefix);
    free(announce->endpoint);
    free(announce->name);
    free(announce->topic);
    pthread_cond_destroy(&announce->changed);
    pthread_mutex_destroy(&announce->lock);
    free(announce);
}
