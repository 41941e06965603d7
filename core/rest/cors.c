/* cors.c - see cors.h. */
#include "rest/cors.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char allowed_headers[] =
    "Authorization, Accept, Content-Type, Cache-Control, Cookie, If-Modified-Since, "
    "X-Requested-With, X-Count-Total, X-Namespace, X-External-Tracking-Type, "
    "X-External-Tracking-ID, X-TLS-Client-Certificate, Accept-Encoding, X-Fields, "
    "X-Read-Consistency, X-Write-Consistency, Idempotency-Key";
static const char allowed_methods[] = "GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS";
static const char exposed_headers[] =
    "X-Requested-With, X-Count-Total, X-Namespace, X-Messages, X-Fields, X-Next";
static const char max_age[] = "1500";

/* "SCHEME://HOST[:PORT]", as browsers send it. */
static bool is_origin(const char *text)
{
    const char *scheme = strstr(text, "://");
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at <= ' ' || *at >= 0x7f) {
            return false;
        }
    }
    return scheme && scheme > text && scheme[3] && !strchr(scheme + 3, '/');
}

static enum kj_status copy_others(struct kj__cors *cors, const char *const *others,
                                  struct kj_error *error)
{
    size_t count = 0;
    while (others && others[count]) {
        count++;
    }
    cors->others = calloc(count + 1, sizeof *cors->others);
    for (size_t i = 0; cors->others && i < count; i++) {
        if (!is_origin(others[i])) {
            kj_error_set(error, 0,
                         "option cors_origins (--cors-also): \"%s\" is not SCHEME://HOST[:PORT]",
                         others[i]);
            return KJ_EINVAL;
        }
        cors->others[i] = strdup(others[i]);
        if (!cors->others[i]) {
            return KJ_ENOMEM;
        }
    }
    return cors->others ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__cors_init(struct kj__cors *cors, const char *origin, const char *const *others,
                             struct kj_error *error)
{
    *cors = (struct kj__cors){0};
    if (!origin) {
        if (others && *others) {
            kj_error_set(
                error, 0,
                "option cors_origins (--cors-also): cors_origin (--cors-origin) is needed too");
            return KJ_EINVAL;
        }
        return KJ_OK;
    }
    cors->is_mirror = strcmp(origin, "mirror") == 0;
    if (!cors->is_mirror && strcmp(origin, "*") != 0 && !is_origin(origin)) {
        kj_error_set(error, 0,
                     "option cors_origin (--cors-origin): \"%s\" is neither *, mirror nor "
                     "SCHEME://HOST[:PORT]",
                     origin);
        return KJ_EINVAL;
    }
    cors->origin = strdup(origin);
    return cors->origin ? copy_others(cors, others, error) : KJ_ENOMEM;
}

void kj__cors_fini(struct kj__cors *cors)
{
    for (char **other = cors->others; other && *other; other++) {
        free(*other);
    }
    free(cors->others);
    free(cors->origin);
    *cors = (struct kj__cors){0};
}

/* What the answer allows; NULL: nothing. */
static const char *allowed_origin(const struct kj__cors *cors, const char *request_origin)
{
    if (cors->is_mirror) {
        return request_origin && *request_origin ? request_origin : NULL;
    }
    for (char **other = cors->others; request_origin && *other; other++) {
        if (strcasecmp(*other, request_origin) == 0) {
            return request_origin;
        }
    }
    return cors->origin;
}

bool kj__cors_put(const struct kj__cors *cors, const char *request_origin, bool is_preflight,
                  struct kj__fields *headers)
{
    if (!cors->origin) {
        return true;
    }
    const char *origin = allowed_origin(cors, request_origin);
    bool has_credentials = origin && strcmp(origin, "*") != 0;
    const struct {
        const char *name, *value; /* NULL: left out */
    } all[] = {
        {"Access-Control-Allow-Credentials", has_credentials ? "true" : NULL},
        {"Access-Control-Allow-Headers", is_preflight ? allowed_headers : NULL},
        {"Access-Control-Allow-Methods", is_preflight ? allowed_methods : NULL},
        {"Access-Control-Allow-Origin", origin},
        {"Access-Control-Expose-Headers", exposed_headers},
        {"Access-Control-Max-Age", is_preflight ? max_age : NULL},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].value && !kj__fields_add(headers, all[i].name, all[i].value)) {
            return false;
        }
    }
    return true;
}
