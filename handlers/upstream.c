/* upstream.c - see kujata/upstream.h: requests in, answers out. */
#include "handlers/upstream.h"

#include <kujata/log.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOG_EVERY_S = 10 };

struct kj_upstream {
    struct upstream_http *http;
    uint32_t calls_max;
    _Atomic uint32_t calls; /* waiting and under way */
    _Atomic int64_t logged_s;
    _Atomic uint64_t asked, answered, failed, refused;
};

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

enum kj_status kj_upstream_new(const struct kj_upstream_options *options,
                               struct kj_upstream **upstream, struct kj_error *error)
{
    *upstream = NULL;
    struct kj_upstream_options own = *options;
    own.timeout_ms = or_default(own.timeout_ms, 2000);
    own.calls = or_default(own.calls, 16);
    own.answer_bytes = or_default(own.answer_bytes, 64 * 1024);
    struct kj_upstream *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->calls_max = own.calls;
    enum kj_status status = upstream_http_new(&own, &made->http, error);
    if (status) {
        free(made);
        return status;
    }
    *upstream = made;
    return KJ_OK;
}

void kj_upstream_free(struct kj_upstream *upstream)
{
    if (upstream) {
        upstream_http_free(upstream->http);
        free(upstream);
    }
}

void kj_upstream_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    struct kj_upstream *upstream = ctx;
    visit("upstream_calls_total", "Requests of clients that the upstream was asked.",
          atomic_load(&upstream->asked), visit_ctx);
    visit("upstream_answers_total", "Answers of the upstream that were passed on.",
          atomic_load(&upstream->answered), visit_ctx);
    visit("upstream_failed_total", "Requests the upstream did not answer well, or not in time.",
          atomic_load(&upstream->failed), visit_ctx);
    visit("upstream_refused_total", "Requests refused since too many wait for the upstream.",
          atomic_load(&upstream->refused), visit_ctx);
    visit("upstream_calls_current", "Requests that wait for the upstream.",
          atomic_load(&upstream->calls), visit_ctx);
}

/* ---- one request ---- */

struct errand {
    struct kj_upstream *upstream;
    json_t *id; /* of its own; NULL: none */
    uint8_t *body;
    size_t body_len;
    enum upstream_outcome outcome;
    json_t *answer; /* NULL: none */
};

static void errand_free(void *item)
{
    struct errand *errand = item;
    atomic_fetch_sub(&errand->upstream->calls, 1);
    json_decref(errand->id);
    json_decref(errand->answer);
    free(errand->body);
    free(errand);
}

static bool may_log(struct kj_upstream *upstream)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t last = atomic_load(&upstream->logged_s);
    return (last == 0 || now.tv_sec - last >= LOG_EVERY_S) &&
           atomic_compare_exchange_strong(&upstream->logged_s, &last, now.tv_sec);
}

static const char *text_of(enum upstream_outcome outcome)
{
    switch (outcome) {
    case UPSTREAM_TOO_SLOW:
        return "the upstream did not answer in time";
    case UPSTREAM_REFUSED:
        return "the upstream refused";
    case UPSTREAM_UNREADABLE:
        return "the upstream's answer is no JSON object, or too large";
    default:
        return "the upstream cannot be reached";
    }
}

static void run(void *item)
{
    struct errand *errand = item;
    struct kj_upstream *upstream = errand->upstream;
    struct upstream_call call = {.body = (const char *)errand->body, .body_len = errand->body_len};
    atomic_fetch_add(&upstream->asked, 1);
    errand->outcome = upstream_http_call(upstream->http, &call);
    if (!errand->outcome && call.answer_len > 0 &&
        (kj_value_decode(KJ_ENCODING_JSON, call.answer, call.answer_len, &errand->answer, NULL) ||
         !json_is_object(errand->answer))) {
        errand->outcome = UPSTREAM_UNREADABLE;
    }
    free(call.answer);
    atomic_fetch_add(errand->outcome ? &upstream->failed : &upstream->answered, 1);
    if (errand->outcome && may_log(upstream)) {
        kj_log(KJ_LOG_WARNING, "upstream", "%s; see --upstream, --upstream-timeout-ms",
               text_of(errand->outcome));
    }
}

static void finish(struct kj_client *client, void *item)
{
    struct errand *errand = item;
    if (errand->outcome) {
        kj_native_refuse(client, errand->id, "upstream", text_of(errand->outcome));
    } else {
        kj_native_answer_take(client, errand->id, errand->answer);
        errand->answer = NULL;
    }
}

/* What is sent; KJ_ENOMEM. */
static enum kj_status write_body(struct kj_client *client, const struct kj_native_request *request,
                                 struct errand *errand)
{
    char session[KJ_CLIENT_ID_SIZE];
    kj_client_id_format(kj_client_id(client), session);
    json_t *value = json_pack("{s:s, s:s?, s:s, s:O?}", "session", session, "user",
                              kj_client_user(client), "type", request->type, "data", request->data);
    enum kj_status status = value ? kj_value_encode(KJ_ENCODING_JSON, value, &errand->body,
                                                    &errand->body_len)
                                  : KJ_ENOMEM;
    json_decref(value);
    return status;
}

/* NULL when too many wait, or there is no memory. */
static struct errand *errand_new(struct kj_client *client, const struct kj_native_request *request,
                                 struct kj_upstream *upstream)
{
    bool has_place = atomic_fetch_add(&upstream->calls, 1) < upstream->calls_max;
    struct errand *errand = has_place ? calloc(1, sizeof *errand) : NULL;
    if (!errand) {
        atomic_fetch_sub(&upstream->calls, 1);
        return NULL;
    }
    errand->upstream = upstream;
    errand->id = json_copy(request->id);
    if ((request->id && !errand->id) || write_body(client, request, errand)) {
        errand_free(errand);
        return NULL;
    }
    return errand;
}

void kj_upstream_serve(struct kj_client *client, const struct kj_native_request *request, void *ctx)
{
    struct kj_upstream *upstream = ctx;
    struct errand *errand = errand_new(client, request, upstream);
    const struct kj_work work = {run, finish, errand_free, errand};
    if (errand && !kj_client_work_outside(client, &work)) {
        return;
    }
    if (errand) {
        errand_free(errand);
    }
    atomic_fetch_add(&upstream->refused, 1);
    kj_native_refuse(client, request->id, "busy", "too much waits for the upstream");
}
