/* route.h - HTTP requests that are no calls of the model: answered by the application.
 *
 * A route is a method and a path of the public listener, or of the API listener, which is for an
 * application's own servers: see api_listen in server.h. A route wins over what the model has at
 * its path. GET answers HEAD too; a path that is asked for by another method is a 405.
 *
 * Threads: handlers run on HTTP workers, several at once, and may wait. An exchange lives for one
 * call of its handler and must not be kept, and what is returned here lives as long.
 */
#ifndef KUJATA_ROUTE_H
#define KUJATA_ROUTE_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/server.h>
#include <kujata/status.h>
#include <stddef.h>
#include <stdint.h>

/* One request and its answer. */
struct kj_exchange;

enum kj_listener {
    KJ_LISTENER_PUBLIC = 0, /* of kj_server_options.listen: rates, proxies and CORS hold; nobody
                             * is asked who he is, which is for the handler */
    KJ_LISTENER_API,        /* of kj_server_options.api_listen: behind its keys */
};

/* All copied but the context. */
struct kj_route {
    enum kj_listener listener;
    const char *method; /* such as "POST" */
    /* Letters, digits and -._~/ behind a slash. "/x/" with a "*" behind it is every path that
     * begins with "/x/" and has no route of its own; the longest wins. */
    const char *path;
    void (*handle)(struct kj_exchange *exchange, void *ctx);
    void *ctx;
};

/* Adds a route, before kj_server_start. KJ_EINVAL with `error` filled, also for a route of an API
 * listener that there is none of; KJ_EEXIST for one that is taken, KJ_ENOMEM. */
enum kj_status kj_server_add_route(struct kj_server *server, const struct kj_route *route,
                                   struct kj_error *error);

/* ---- the request ---- */

const char *kj_exchange_method(const struct kj_exchange *exchange);
const char *kj_exchange_path(const struct kj_exchange *exchange); /* as sent, without the query */

/* What the "*" of the route's path stands for, without escapes; "" where it has none. */
const char *kj_exchange_rest(const struct kj_exchange *exchange);
const char *kj_exchange_remote_address(const struct kj_exchange *exchange);

/* The first value of that name, or NULL: a header; a parameter of the query; a field of a body that
 * is application/x-www-form-urlencoded. The last two are UTF-8 without escapes: a request with a
 * bad escape, a NUL, or more than 256 of either is a 400 before a handler sees it. */
const char *kj_exchange_header(const struct kj_exchange *exchange, const char *name);
const char *kj_exchange_parameter(const struct kj_exchange *exchange, const char *name);
const char *kj_exchange_form(const struct kj_exchange *exchange, const char *name);

/* Every value of a parameter of the query, in their order; how many. */
size_t kj_exchange_parameters(const struct kj_exchange *exchange, const char *name,
                              void (*visit)(const char *value, void *ctx), void *ctx);

/* NULL also for a cookie that a page of an origin that is not allowed has sent along: see
 * allowed_origins of the server's options. */
const char *kj_exchange_cookie(struct kj_exchange *exchange, const char *name);

/* Of `Authorization: Bearer`; NULL: there is none. */
const char *kj_exchange_token(const struct kj_exchange *exchange);

/* The body, at most limits.body_bytes; NULL when it is empty. */
const uint8_t *kj_exchange_body(const struct kj_exchange *exchange, size_t *len);

/* The body as JSON, borrowed; NULL when it is none, nests deeper than 64, has more than 65,536
 * values, or the same key twice: kj_exchange_fault says which. */
json_t *kj_exchange_json(struct kj_exchange *exchange);
const char *kj_exchange_fault(const struct kj_exchange *exchange); /* "": nothing was wrong */

/* ---- the answer: the last one holds; a handler that gives none answers with 500 ---- */

/* KJ_EINVAL for what no header may hold, and for those that say where the answer ends; KJ_ELIMIT
 * beyond 64; KJ_ENOMEM. */
enum kj_status kj_exchange_add_header(struct kj_exchange *exchange, const char *name,
                                      const char *value);

/* `status` is 200 to 599; the bytes are copied; `content_type` NULL: none. KJ_EINVAL, KJ_ENOMEM. */
enum kj_status kj_exchange_answer(struct kj_exchange *exchange, int status,
                                  const char *content_type, const void *bytes, size_t len);

/* The same with a value as JSON, whose reference it takes in any case; NULL is KJ_ENOMEM. */
enum kj_status kj_exchange_answer_json_take(struct kj_exchange *exchange, int status,
                                            json_t *value);

/* {"error": text}, with a status from 400 on. */
__attribute__((format(printf, 3, 4))) void kj_exchange_refuse(struct kj_exchange *exchange,
                                                              int status, const char *format, ...);

#endif
