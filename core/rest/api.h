/* api.h - the REST side of a server: a request in, a response out.
 *
 * Threads: built by one thread, read by all HTTP workers afterwards.
 */
#ifndef KJ_REST_API_H
#define KJ_REST_API_H

#include "base/counters.h"
#include "base/map.h"
#include "rest/credentials.h"
#include "rest/idempotency.h"
#include "rest/message.h"
#include "rest/policy.h"

#include <kujata/handlers.h>
#include <kujata/model.h>
#include <kujata/processor.h>
#include <stdbool.h>

struct kj__api {
    const struct kj_model *model;
    struct kj__map processors;    /* identity name to its own kj_processor copy */
    struct kj_processor fallback; /* for identities with none of their own */
    bool has_fallback;
    const struct kj_request_authenticator *authenticators; /* borrowed */
    size_t authenticator_count;
    const struct kj_authorizer *authorizers; /* borrowed */
    size_t authorizer_count;
    uint32_t page_objects; /* of one list; 0: any number */
    uint32_t page_bytes;   /* of their JSON text; 0: any number */
    bool strict_flags;     /* see kj_server_options */
    struct kj_auditor audit;
    struct kj__credentials credentials;
    /* Publishes an enqueued or automatic event; never blocks. NULL: no push. */
    void (*publish)(struct kj_event *event, void *ctx);
    void *publish_ctx;
    struct kj__idempotency *idempotency; /* borrowed; NULL: keys mean nothing */
    struct kj__map documents;            /* paths to documents of documents.c */
    struct kj__policy policy;
    struct kj__counters *counters;
};

void kj__api_init(struct kj__api *api, const struct kj_model *model, struct kj__counters *counters);
void kj__api_fini(struct kj__api *api);

/* See kj_server_register. */
enum kj_status kj__api_register(struct kj__api *api, const char *identity,
                                const struct kj_processor *processor);

/* Serves a copy of these bytes at `path`, such as "/_meta/routes", to GET and HEAD, behind no
 * prefix and without a look at who asks. Before the first request only. KJ_EEXIST for a path
 * that has a document, or KJ_ENOMEM. */
enum kj_status kj__api_add_document(struct kj__api *api, const char *path, const char *content_type,
                                    const void *bytes, size_t len);

/* The same for a redirect (302) to `location`. */
enum kj_status kj__api_add_redirect(struct kj__api *api, const char *path, const char *location);

/* Answers one request, whatever it is; `response` is initialised by the caller. [any thread] */
void kj__api_handle(const struct kj__api *api, const struct kj__http_request *request,
                    struct kj__http_response *response);

/* Fills `response` with a one-element error array, as for errors that precede the parsing of
 * a request: JSON, unless `encoding` says otherwise. */
void kj__http_response_error(struct kj__http_response *response, enum kj_encoding encoding,
                             const struct kj_api_error *error);

/* The same with the description cut so that the body has at most as many bytes as a bahamut client
 * reads of a refused handshake. */
enum { KJ__SHORT_ERROR_MAX = 1023 };
void kj__http_response_short_error(struct kj__http_response *response, enum kj_encoding encoding,
                                   const struct kj_api_error *error);

/* The same for one who asks too often, with the time after which it may again (429). */
void kj__http_response_too_many(struct kj__http_response *response, enum kj_encoding encoding,
                                int64_t wait_ns);

#endif
