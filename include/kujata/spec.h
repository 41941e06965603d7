/* spec.h - a model described for others: OpenAPI 3.1 for REST, AsyncAPI 3.0 for push.
 *
 * A server serves both under /_meta, `kujata spec` prints them; docs/spec.md says what is in
 * them. Equal models and options give equal documents, members in the same order.
 */
#ifndef KUJATA_SPEC_H
#define KUJATA_SPEC_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/model.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

/* What a document says beside the model. Zero is the default of each member; texts are UTF-8 and
 * borrowed for the call. */
struct kj_spec_options {
    const char *title;         /* NULL: "Kujata" */
    const char *version;       /* of the API; NULL: the model's */
    const char *server_url;    /* "http[s]://HOST[:PORT][/PATH]", without a query; NULL: OpenAPI
                                * says where it was read from, AsyncAPI names no server */
    const char *api_prefix;    /* as kj_http_policy.api_prefix */
    const char *push_endpoint; /* NULL: "/events" */
    uint32_t page_objects;     /* of one list; 0: 10,000 */
    bool strict_flags;         /* as in kj_server_options, and the next three */
    bool ignore_idempotency_keys;
    const char *token_cookie;
    bool token_in_query;
    bool needs_token;  /* calls and sessions show a token */
    bool public_reads; /* but calls that change nothing need not */
};

/* *document is a new reference, the caller's to change and to release. KJ_EINVAL with `error`
 * naming the option, or KJ_ENOMEM.                                            [any thread] */
enum kj_status kj_spec_openapi(const struct kj_model *model, const struct kj_spec_options *options,
                               json_t **document, struct kj_error *error);

/* The same for the push endpoint. */
enum kj_status kj_spec_asyncapi(const struct kj_model *model, const struct kj_spec_options *options,
                                json_t **document, struct kj_error *error);

#endif
