/* context.h - one REST call, as a processor and the security handlers see it.
 *
 * Threads: a context lives for one call on one HTTP worker and must not be kept. Pointers
 * returned here live as long as the context.
 */
#ifndef KUJATA_CONTEXT_H
#define KUJATA_CONTEXT_H

#include <jansson.h>
#include <kujata/certificate.h>
#include <kujata/encoding.h>
#include <kujata/error.h>
#include <kujata/event.h>
#include <kujata/filter.h>
#include <kujata/model.h>
#include <kujata/status.h>
#include <kujata/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_context;

/* The request, parsed. Strings are never NULL unless said so. */
struct kj_request {
    const char *id; /* a UUIDv4 made for this call */
    enum kj_operation operation;
    const struct kj_identity *identity;        /* of the objects asked for */
    const char *object_id;                     /* "" where the path has none */
    const struct kj_identity *parent_identity; /* NULL: root */
    const char *parent_id;                     /* "" for root */
    int version;                               /* 0 for a path without /v/N */
    const char *namespace_name;                /* X-Namespace, or "" */
    const char *username, *password;           /* the two words of Authorization, or "" */
    const char *remote_address;
    int page, page_size, limit; /* 0: not given; none is above largest_page */
    int largest_page;         /* objects an answer may hold, with X-Next for more; 0: any number */
    uint32_t page_bytes;      /* the same in bytes of JSON text, one object at least; 0: any */
    const char *after;        /* "" when not given */
    const char *const *order; /* keys, "-key" for descending; NULL at the end */
    bool recursive, propagated, override_protection;
    /* Of `q`, checked against the identity; NULL: not given. Authenticators and authorizers come
     * before it is read; they have its text as the parameter "q". */
    const struct kj_filter *filter;
    enum kj_encoding read_encoding, write_encoding;
};

const struct kj_request *kj_context_request(const struct kj_context *context);

/* The first value of a request header or query parameter, as it was sent, or NULL. */
const char *kj_context_header(const struct kj_context *context, const char *name);
const char *kj_context_parameter(const struct kj_context *context, const char *name);

/* A parameter that the model declares for the operation. It has the values sent, in their order,
 * or its default where none was; what is required has been checked. The calls behind the first
 * give the value with that index, or 0, "" or false for one that is not there or of another type:
 * a parameter without a default is its type's zero when absent. */
size_t kj_context_parameter_count(const struct kj_context *context, const char *name);
const char *kj_context_parameter_text(const struct kj_context *context, const char *name,
                                      size_t index); /* of a string or an enum */
int64_t kj_context_parameter_integer(const struct kj_context *context, const char *name,
                                     size_t index);
double kj_context_parameter_float(const struct kj_context *context, const char *name, size_t index);
bool kj_context_parameter_boolean(const struct kj_context *context, const char *name, size_t index);
int64_t kj_context_parameter_duration_ns(const struct kj_context *context, const char *name,
                                         size_t index);
struct kj_time kj_context_parameter_time(const struct kj_context *context, const char *name,
                                         size_t index);

/* The credential: `Authorization: Bearer`, else the cookie token_cookie of the server's options,
 * else, with token_in_query, the parameter "token", else NULL. The cookie does not count where a
 * page of an origin that is not allowed made the call. */
const char *kj_context_token(const struct kj_context *context);

/* What traces the request: "traceparent" and "tracestate" (W3C Trace Context),
 * "x-external-tracking-id" and "x-external-tracking-type"; NULL: not sent, or malformed and
 * ignored. The events of the call carry it too; see kj_event_tracking. */
const char *kj_context_tracking(const struct kj_context *context, const char *key);

/* The client's TLS certificate, which is good; NULL: it has shown none, or did so for a page of an
 * origin that is not allowed, to which browsers add it as they do with cookies. */
const struct kj_certificate *kj_context_peer_certificate(const struct kj_context *context);

/* The decoded and validated body of create, update and patch: an object holding every
 * attribute (create, update) or those sent (patch). Borrowed; NULL elsewhere. */
json_t *kj_context_input(const struct kj_context *context);

/* What the client gets: an object, or an array for retrieve-many; NULL: nothing, a 204. Takes the
 * reference. An object is also what the automatic event carries, as it is: with its ID. */
void kj_context_set_output_take(struct kj_context *context, json_t *output);
json_t *kj_context_output(const struct kj_context *context); /* borrowed; NULL: none */

void kj_context_set_count(struct kj_context *context, size_t count); /* X-Count-Total; else 0 */
void kj_context_set_status(struct kj_context *context, int status);  /* instead of 200/204 */
enum kj_status kj_context_add_message(struct kj_context *context, const char *message);
enum kj_status kj_context_set_next(struct kj_context *context, const char *next); /* X-Next */

/* Counts a list that kj_request.page_bytes ended, or had refused (lists_over_bytes_total). */
void kj_context_set_over_bytes(struct kj_context *context);

/* Answers 302 with this Location and no body. */
enum kj_status kj_context_set_redirect(struct kj_context *context, const char *location);

enum kj_same_site {
    KJ_SAME_SITE_UNSET = 0,
    KJ_SAME_SITE_LAX,
    KJ_SAME_SITE_STRICT,
    KJ_SAME_SITE_NONE, /* secure ones only */
};

struct kj_cookie {
    const char *name;
    const char *value;         /* NULL: "" */
    const char *path, *domain; /* NULL: left out */
    int max_age_s;             /* 0: until the browser ends; negative: the cookie is deleted */
    bool http_only, secure;
    enum kj_same_site same_site;
};

/* Sets a cookie with an answer that succeeds. KJ_EINVAL for bytes that no cookie may hold, or
 * KJ_ELIMIT beyond 64 cookies of 4 KiB. */
enum kj_status kj_context_add_cookie(struct kj_context *context, const struct kj_cookie *cookie);

/* Publishes `event` after the processor returned KJ_OK, before the automatic event and in
 * the order enqueued. Takes its own reference. */
enum kj_status kj_context_enqueue_event(struct kj_context *context, struct kj_event *event);

/* No automatic event for this call. Enqueued events still go out. */
void kj_context_disable_push(struct kj_context *context);

/* Adds an element to the answer's error array and returns KJ_EREFUSED, so that a processor
 * may `return kj_context_fail(context, &error)`. */
enum kj_status kj_context_fail(struct kj_context *context, const struct kj_api_error *error);

/* As for sessions: strings "key=value", copied; a new set replaces the old one. */
enum kj_status kj_context_set_claims(struct kj_context *context, const char *const *claims,
                                     size_t count);
const char *const *kj_context_claims(const struct kj_context *context, size_t *count);
const char *kj_context_claim(const struct kj_context *context, const char *key);

/* For an update or a patch, what to store in place of `stored`: the input with what a client
 * may not change kept, or `stored` with the members sent. A patch is validated again, whole;
 * when that fails the answer's errors are set and the result is KJ_EREFUSED. *result is a new
 * reference that shares nothing with `stored`. */
enum kj_status kj_context_apply(struct kj_context *context, const json_t *stored, json_t **result);

/* What X-Next and `after` start with where they hold more than an ID: a place in an order, made
 * and read by the processor. No other `after` goes with several keys of `order`, and no ID starts
 * so. */
enum { KJ_CURSOR_MARK = '~' };

enum { KJ_OBJECT_ID_SIZE = 25 };

/* An ID for a new object: 24 hexadecimal digits, and their terminator, that grow with time.
 * IDs of one process sort in the order made.                           [any thread] */
void kj_object_id_make(char text[KJ_OBJECT_ID_SIZE]);

#endif
