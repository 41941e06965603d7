/* upstream.h - requests the native protocol does not know, answered by an HTTP server.
 *
 * Each is a POST of {"session", "user", "type", "data"}; the answer's body, a JSON object or
 * nothing, is the `data` of the client's OK. Everything else (a status but 2xx, no answer in time)
 * is an ERROR with the code "upstream", counted. Redirects are not followed, and no proxy is asked.
 *
 *     kj_upstream_new(&(struct kj_upstream_options){.url = "http://127.0.0.1:9000/"}, &upstream,
 *                     &error);
 *     kj_native_new(&(struct kj_native_options){.on_request = kj_upstream_serve,
 *                                               .request_ctx = upstream}, &native);
 */
#ifndef KUJATA_UPSTREAM_H
#define KUJATA_UPSTREAM_H

#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/native.h>
#include <kujata/status.h>
#include <stdint.h>

struct kj_upstream;

/* Zero means the default given. */
struct kj_upstream_options {
    const char *url;       /* required: http://... or https://... */
    const char *token;     /* shown as Authorization: Bearer; NULL: none */
    uint32_t timeout_ms;   /* of one call; 2,000 */
    uint32_t calls;        /* waiting and under way; 16; beyond: the code "busy" */
    uint32_t answer_bytes; /* of a body; 65,536 */
};

/* Everything is copied. KJ_EINVAL with `error` (may be NULL) naming the option, KJ_ENOMEM. */
enum kj_status kj_upstream_new(const struct kj_upstream_options *options,
                               struct kj_upstream **upstream, struct kj_error *error);

/* For on_request of struct kj_native_options; `ctx` is the upstream. It is asked with
 * kj_client_work, so one client's requests are asked and answered in order. */
void kj_upstream_serve(struct kj_client *client, const struct kj_native_request *request,
                       void *ctx);

/* A kj_counter_source's function, its ctx the upstream.                [any thread] */
void kj_upstream_counters(void *ctx, kj_counter_visit visit, void *visit_ctx);

/* After the server. NULL is fine. */
void kj_upstream_free(struct kj_upstream *upstream);

#endif
