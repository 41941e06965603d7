/* upstream.h - what the files of the upstream share. */
#ifndef KJ_HANDLERS_UPSTREAM_H
#define KJ_HANDLERS_UPSTREAM_H

#include <kujata/upstream.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Why there is no answer. */
enum upstream_outcome {
    UPSTREAM_ANSWERED = 0,
    UPSTREAM_UNREACHABLE,
    UPSTREAM_TOO_SLOW,
    UPSTREAM_REFUSED,    /* a status but 2xx */
    UPSTREAM_UNREADABLE, /* no JSON object, or too large */
};

/* One exchange. */
struct upstream_call {
    const char *body; /* to be sent */
    size_t body_len;
    uint8_t *answer; /* malloc'd; NULL: empty */
    size_t answer_len;
};

/* ---- upstream_http.c: the HTTP client ---- */

struct upstream_http;

/* KJ_EINVAL with `error` (may be NULL) naming the option, KJ_ENOMEM. */
enum kj_status upstream_http_new(const struct kj_upstream_options *options,
                                 struct upstream_http **http, struct kj_error *error);
void upstream_http_free(struct upstream_http *http); /* NULL is fine */

/* Sends and waits.                                      [any thread that may wait] */
enum upstream_outcome upstream_http_call(struct upstream_http *http, struct upstream_call *call);

#endif
