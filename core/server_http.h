/* server_http.h - what kj_http_policy says, put where it belongs. */
#ifndef KJ_CORE_SERVER_HTTP_H
#define KJ_CORE_SERVER_HTTP_H

#include "base/rate.h"
#include "http/http.h"
#include "http/proxies.h"
#include "rest/api.h"

/* The parts of a server's HTTP policy that are not the API's. */
struct kj__server_http {
    struct kj__proxies proxies;
    struct kj__bucket handshakes;
    struct kj__address_buckets handshakes_of_address;
    bool no_meta_routes;
    struct kj__counters *counters;
};

/* KJ_EINVAL with `error` naming the option, or KJ_ENOMEM; fini is due in any case. */
enum kj_status kj__server_http_init(struct kj__server_http *http,
                                    const struct kj_http_policy *options, struct kj__api *api,
                                    struct kj_error *error);
void kj__server_http_fini(struct kj__server_http *http);

/* Once every processor is registered: what is served of them. */
enum kj_status kj__server_http_list_routes(const struct kj__server_http *http, struct kj__api *api);

/* Whether a handshake is within the rates; if not, `response` is the refusal. [any thread] */
bool kj__server_http_admit(struct kj__server_http *http, const struct kj__http_request *request,
                           struct kj__http_response *response);

/* The same of a stream. [any thread] */
bool kj__server_http_admit_stream(struct kj__server_http *http, const char *remote_address);

/* Says how many sessions there are descriptors for: each takes one for as long as it lives. */
void kj__server_http_log_room(const struct kj__http *http, uint32_t sessions);

#endif
