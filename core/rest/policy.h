/* policy.h - what kj_http_policy says about calls of the API, ready for use.
 *
 * Threads: built by one thread, read by all HTTP workers afterwards; buckets and the read-only
 * switch are for any thread.
 */
#ifndef KJ_REST_POLICY_H
#define KJ_REST_POLICY_H

#include "base/map.h"
#include "base/rate.h"
#include "rest/cors.h"

#include <kujata/http_policy.h>
#include <kujata/model.h>
#include <stdatomic.h>

struct kj__policy {
    struct kj__cors cors;
    bool no_compression;
    struct kj__bucket *requests;   /* NULL: no limit */
    struct kj__map identity_rates; /* names to a struct kj__bucket each */
    _Atomic bool is_read_only;
    struct kj__map read_only_except; /* names, to no value of use */
    char *prefix;                    /* "/api"; NULL: none */
    size_t prefix_len;
    struct kj_error_transformer transformer;
};

/* The policy that changes nothing. */
void kj__policy_init(struct kj__policy *policy);
void kj__policy_fini(struct kj__policy *policy);

/* Takes over what concerns calls, after init and once. KJ_EINVAL with `error` naming the option,
 * or KJ_ENOMEM. */
enum kj_status kj__policy_set(struct kj__policy *policy, const struct kj_http_policy *options,
                              const struct kj_model *model, struct kj_error *error);

/* What the options say of one rate. */
enum kj_status kj__policy_check_rate(const struct kj_rate *rate, const char *option,
                                     struct kj_error *error);

/* How long a call for an identity (NULL: an unknown one) has to wait, in ns; 0: not at all. */
int64_t kj__policy_take(const struct kj__policy *policy, const struct kj_identity *identity);

/* Whether an operation is a write that may not be done now. */
bool kj__policy_is_locked(const struct kj__policy *policy, const struct kj_identity *identity,
                          enum kj_operation operation);

/* The path behind the prefix; NULL: it does not start with it. */
const char *kj__policy_route_path(const struct kj__policy *policy, const char *path);

#endif
