/* http_policy.h - what a server asks of its HTTP clients and tells them, beside what handlers
 * decide.
 *
 * Everything is copied by kj_server_new, but for the contexts of handlers. Zero is the default
 * of each member.
 */
#ifndef KUJATA_HTTP_POLICY_H
#define KUJATA_HTTP_POLICY_H

#include <jansson.h>
#include <kujata/context.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many a second on the average, so many at once; beyond it: 429. */
struct kj_rate {
    uint32_t per_second; /* at most 1,000,000; 0: no limit */
    uint32_t burst;      /* 0: as per_second */
};

struct kj_identity_rate {
    const char *identity; /* its name */
    struct kj_rate rate;
};

/* HTTP worker, once a request is parsed and has failed: returns the array of errors to answer
 * with, a new reference that is not empty, or NULL to keep `errors`. The status is the code of
 * the first. Default: NULL. */
struct kj_error_transformer {
    json_t *(*transform)(struct kj_context *context, const json_t *errors, void *ctx);
    void *ctx;
};

struct kj_http_policy {
    bool no_compression; /* answers of the API are compressed from 1,400 bytes on otherwise */
    bool no_keep_alive;  /* each answer ends its connection, and says so */

    /* The origin whose pages may call the API; "*" for every one, without credentials;
     * "mirror" for every one, with credentials. NULL: no CORS. cors_origins may do so besides;
     * NULL at the end. Sessions have allowed_origins of their own. */
    const char *cors_origin;
    const char *const *cors_origins;

    struct kj_rate request_rate; /* of all calls of the API */
    const struct kj_identity_rate *identity_rates;
    size_t identity_rate_count;
    struct kj_rate handshake_rate;             /* of websockets */
    struct kj_rate handshake_rate_per_address; /* IPv6: per /64 network */

    bool read_only;                      /* 423 for writes; see kj_server_set_read_only */
    const char *const *read_only_except; /* identities writable still; NULL at the end */

    const char *service_name;            /* at /_meta/name; NULL: no such path */
    const char *const *service_versions; /* "NAME=VERSION" at /_meta/version, NULL at the end */
    bool no_meta_routes;                 /* no /_meta/routes, openapi.json and asyncapi.json */

    /* What these documents say of the server; see kj_spec_options. */
    const char *spec_title, *spec_version, *spec_url; /* the title else is service_name */
    bool spec_public_reads;

    const char *api_prefix; /* such as "/api"; not of /, /_meta and the push endpoint */

    /* What GET / answers: a text of that type, or a redirect; NULL: 200 without a body. */
    const char *root_content_type;
    const char *root_body; /* with root_content_type */
    const char *root_redirect;

    /* Proxies whose X-Forwarded-For is believed, "ADDR" or "ADDR/BITS", NULL at the end. */
    const char *const *trusted_proxies;

    struct kj_error_transformer error_transformer;
};

#endif
