/* server_http.c - see server_http.h. */
#include "core/server_http.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "codec/encoding.h"
#include "rest/route_list.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char media_type_json[] = "application/json; charset=UTF-8";

/* ---- documents ---- */

/* A header's value cannot hold others, and an empty one says nothing. */
static bool is_header_value(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at < ' ' || *at == 0x7f) {
            return false;
        }
    }
    return text[0] != '\0';
}

static enum kj_status add_root(struct kj__api *api, const struct kj_http_policy *options,
                               struct kj_error *error)
{
    const char *type = options->root_content_type;
    const char *body = options->root_body;
    const char *redirect = options->root_redirect;
    if (!type != !body || (type && redirect)) {
        kj_error_set(error, 0,
                     "options root_content_type (--root-type), root_body (--root-file) and "
                     "root_redirect (--root-redirect): there is either a type and a body, or a "
                     "redirect");
        return KJ_EINVAL;
    }
    if ((type && !is_header_value(type)) || (redirect && !is_header_value(redirect))) {
        kj_error_set(error, 0, "option %s: no header may hold it",
                     type ? "root_content_type (--root-type)" : "root_redirect (--root-redirect)");
        return KJ_EINVAL;
    }
    if (redirect) {
        return kj__api_add_redirect(api, "/", redirect);
    }
    return type ? kj__api_add_document(api, "/", type, body, strlen(body)) : KJ_OK;
}

static enum kj_status add_version(json_t *object, const char *text, struct kj_error *error)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1] ||
        !kj__utf8_is_valid((const uint8_t *)text, strlen(text))) {
        kj_error_set(error, 0,
                     "option service_versions (--service-version): \"%s\" is not NAME=VERSION",
                     text);
        return KJ_EINVAL;
    }
    char *name = strndup(text, (size_t)(equals - text));
    bool is_added = name && json_object_set_new(object, name, json_string(equals + 1)) == 0;
    free(name);
    return is_added ? KJ_OK : KJ_ENOMEM;
}

/* bahamut indents this one by four blanks. */
static enum kj_status add_versions(struct kj__api *api, const char *const *versions,
                                   struct kj_error *error)
{
    json_t *object = json_object();
    enum kj_status status = object ? KJ_OK : KJ_ENOMEM;
    for (; !status && *versions; versions++) {
        status = add_version(object, *versions, error);
    }
    char *text = status ? NULL : json_dumps(object, JSON_INDENT(4) | JSON_SORT_KEYS);
    if (!status) {
        status = text ? kj__api_add_document(api, "/_meta/version", media_type_json, text,
                                             strlen(text))
                      : KJ_ENOMEM;
    }
    free(text);
    json_decref(object);
    return status;
}

static enum kj_status add_documents(struct kj__api *api, const struct kj_http_policy *options,
                                    struct kj_error *error)
{
    enum kj_status status = add_root(api, options, error);
    if (!status && options->service_name) {
        status = kj__api_add_document(api, "/_meta/name", "text/plain", options->service_name,
                                      strlen(options->service_name));
    }
    if (!status && options->service_versions && *options->service_versions) {
        status = add_versions(api, options->service_versions, error);
    }
    return status;
}

enum kj_status kj__server_http_list_routes(const struct kj__server_http *http, struct kj__api *api)
{
    struct kj__route_lists lists;
    struct kj__buffer text;
    if (http->no_meta_routes) {
        return KJ_OK;
    }
    enum kj_status status = kj__route_lists_make(api, &lists);
    if (status) {
        return status;
    }
    kj__buffer_init(&text);
    kj__route_lists_print(&lists, &text);
    status = text.failed
                 ? KJ_ENOMEM
                 : kj__api_add_document(api, "/_meta/routes", media_type_json, text.data, text.len);
    kj__buffer_fini(&text);
    kj__route_lists_fini(&lists);
    return status;
}

/* ---- handshakes ---- */

static enum kj_status init_rates(struct kj__server_http *http, const struct kj_http_policy *options,
                                 struct kj_error *error)
{
    const struct kj_rate *all = &options->handshake_rate;
    const struct kj_rate *each = &options->handshake_rate_per_address;
    enum kj_status status = kj__policy_check_rate(all, "handshake_rate (--rate-limit-handshakes)",
                                                  error);
    if (!status) {
        status = kj__policy_check_rate(
            each, "handshake_rate_per_address (--rate-limit-handshakes-per-address)", error);
    }
    uint32_t per_second = status ? 0 : each->per_second; /* fini wants something */
    kj__bucket_init(&http->handshakes, kj__rate_make(all->per_second, all->burst));
    bool is_made = kj__address_buckets_init(&http->handshakes_of_address,
                                            kj__rate_make(per_second, each->burst));
    return status || is_made ? status : KJ_ENOMEM;
}

static void refuse(const struct kj__http_request *request, int64_t wait_ns,
                   struct kj__http_response *response)
{
    enum kj_encoding encoding = KJ_ENCODING_JSON;
    int ignored;
    if (kj__negotiate_accept(kj__fields_get(request->headers, "Accept"), &encoding, &ignored,
                             NULL)) {
        encoding = KJ_ENCODING_JSON;
    }
    kj__http_response_too_many(response, encoding, wait_ns);
}

/* How long the address should wait; 0: it may come in. */
static int64_t take_turn(struct kj__server_http *http, const char *remote_address)
{
    static struct kj__log_limit limit;
    int64_t now_ns = kj__clock_monotonic_ns();
    /* Its own bucket first: one who asks too often takes nothing from the others. */
    int64_t wait_ns = kj__address_buckets_take(&http->handshakes_of_address, remote_address,
                                               now_ns);
    if (!wait_ns) {
        wait_ns = kj__bucket_take(&http->handshakes, now_ns);
    }
    if (!wait_ns) {
        return 0;
    }
    KJ__COUNT(http->counters, handshakes_rate_limited);
    KJ__COUNT(http->counters, handshakes_refused);
    kj__log_limited(&limit, KJ__LOG_WARNING, "server",
                    "a handshake of %s was refused: see handshake_rate (--rate-limit-handshakes) "
                    "and handshake_rate_per_address (--rate-limit-handshakes-per-address)",
                    remote_address);
    return wait_ns;
}

bool kj__server_http_admit(struct kj__server_http *http, const struct kj__http_request *request,
                           struct kj__http_response *response)
{
    int64_t wait_ns = take_turn(http, request->remote_address);
    if (wait_ns) {
        refuse(request, wait_ns, response);
    }
    return !wait_ns;
}

bool kj__server_http_admit_stream(struct kj__server_http *http, const char *remote_address)
{
    return !take_turn(http, remote_address);
}

void kj__server_http_log_room(const struct kj__http *http, uint32_t sessions)
{
    struct rlimit limit;
    uint32_t room = kj__http_room(http);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        kj__log(KJ__LOG_INFO, "server", "descriptors: %llu, room for %u sessions",
                (unsigned long long)limit.rlim_cur, room < sessions ? room : sessions);
    }
}

/* ---- life ---- */

enum kj_status kj__server_http_init(struct kj__server_http *http,
                                    const struct kj_http_policy *options, struct kj__api *api,
                                    struct kj_error *error)
{
    *http = (struct kj__server_http){.no_meta_routes = options->no_meta_routes,
                                     .counters = api->counters};
    enum kj_status status = init_rates(http, options, error);
    if (!status) {
        status = kj__proxies_init(&http->proxies, options->trusted_proxies, error);
    }
    if (!status) {
        status = kj__policy_set(&api->policy, options, api->model, error);
    }
    if (!status) {
        status = add_documents(api, options, error);
    }
    if (status == KJ_ENOMEM) {
        kj_error_set(error, 0, "no memory for the options");
    }
    return status;
}

void kj__server_http_fini(struct kj__server_http *http)
{
    kj__proxies_fini(&http->proxies);
    kj__address_buckets_fini(&http->handshakes_of_address);
}
