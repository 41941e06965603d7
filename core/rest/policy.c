/* policy.c - see policy.h. */
#include "rest/policy.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { RATE_MAX = 1000000 };

void kj__policy_init(struct kj__policy *policy)
{
    *policy = (struct kj__policy){0};
    kj__map_init(&policy->identity_rates);
    kj__map_init(&policy->read_only_except);
}

void kj__policy_fini(struct kj__policy *policy)
{
    kj__cors_fini(&policy->cors);
    free(policy->requests);
    kj__map_fini(&policy->identity_rates, free);
    kj__map_fini(&policy->read_only_except, NULL);
    free(policy->prefix);
}

/* ---- options ---- */

enum kj_status kj__policy_check_rate(const struct kj_rate *rate, const char *option,
                                     struct kj_error *error)
{
    const char *fault = NULL;
    if (rate->per_second > RATE_MAX || rate->burst > RATE_MAX) {
        fault = "more than 1,000,000";
    } else if (rate->burst && !rate->per_second) {
        fault = "a burst without a rate";
    }
    if (fault) {
        kj_error_set(error, 0, "option %s: %s", option, fault);
        return KJ_EINVAL;
    }
    return KJ_OK;
}

/* *bucket stays NULL where there is no limit. */
static enum kj_status new_bucket(const struct kj_rate *rate, const char *option,
                                 struct kj__bucket **bucket, struct kj_error *error)
{
    *bucket = NULL;
    enum kj_status status = kj__policy_check_rate(rate, option, error);
    if (status || !rate->per_second) {
        return status;
    }
    *bucket = malloc(sizeof **bucket);
    if (!*bucket) {
        return KJ_ENOMEM;
    }
    kj__bucket_init(*bucket, kj__rate_make(rate->per_second, rate->burst));
    return KJ_OK;
}

static enum kj_status refuse_name(const char *option, const char *name, const char *why,
                                  struct kj_error *error)
{
    kj_error_set(error, 0, "option %s: \"%s\" %s", option, name, why);
    return KJ_EINVAL;
}

static enum kj_status set_identity_rate(struct kj__policy *policy,
                                        const struct kj_identity_rate *one,
                                        const struct kj_model *model, struct kj_error *error)
{
    static const char option[] = "identity_rates (--rate-limit-identity)";
    if (!one->identity || !kj_model_identity(model, one->identity)) {
        return refuse_name(option, one->identity ? one->identity : "", "is no identity", error);
    }
    if (kj__map_get(&policy->identity_rates, one->identity)) {
        return refuse_name(option, one->identity, "is given twice", error);
    }
    struct kj__bucket *bucket;
    enum kj_status status = new_bucket(&one->rate, option, &bucket, error);
    if (!status && bucket && !kj__map_put(&policy->identity_rates, one->identity, bucket, NULL)) {
        free(bucket);
        status = KJ_ENOMEM;
    }
    return status;
}

static enum kj_status set_read_only(struct kj__policy *policy, const struct kj_http_policy *options,
                                    const struct kj_model *model, struct kj_error *error)
{
    static char present;
    const char *const *name = options->read_only_except;
    atomic_store(&policy->is_read_only, options->read_only);
    for (; name && *name; name++) {
        if (!kj_model_identity(model, *name)) {
            return refuse_name("read_only_except (--read-only-except)", *name, "is no identity",
                               error);
        }
        if (!kj__map_put(&policy->read_only_except, *name, &present, NULL)) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

/* One or more segments, each not empty and of plain characters. */
static enum kj_status set_prefix(struct kj__policy *policy, const char *prefix,
                                 struct kj_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~/";
    if (!prefix) {
        return KJ_OK;
    }
    size_t len = strlen(prefix);
    if (prefix[0] != '/' || prefix[strspn(prefix, allowed)] || strstr(prefix, "//") ||
        prefix[len - 1] == '/' || strncmp(prefix, "/_meta", strlen("/_meta")) == 0) {
        kj_error_set(error, 0,
                     "option api_prefix (--api-prefix): \"%s\" is not a path such as /api, of "
                     "letters, digits "
                     "and -._~, without a slash at its end",
                     prefix);
        return KJ_EINVAL;
    }
    policy->prefix = strdup(prefix);
    policy->prefix_len = len;
    return policy->prefix ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj__policy_set(struct kj__policy *policy, const struct kj_http_policy *options,
                              const struct kj_model *model, struct kj_error *error)
{
    policy->no_compression = options->no_compression;
    policy->transformer = options->error_transformer;
    enum kj_status status = kj__cors_init(&policy->cors, options->cors_origin,
                                          options->cors_origins, error);
    if (!status) {
        status = new_bucket(&options->request_rate, "request_rate (--rate-limit)",
                            &policy->requests, error);
    }
    for (size_t i = 0; !status && i < options->identity_rate_count; i++) {
        status = set_identity_rate(policy, &options->identity_rates[i], model, error);
    }
    if (!status) {
        status = set_read_only(policy, options, model, error);
    }
    return status ? status : set_prefix(policy, options->api_prefix, error);
}

/* ---- calls ---- */

int64_t kj__policy_take(const struct kj__policy *policy, const struct kj_identity *identity)
{
    if (!policy->requests && !policy->identity_rates.count) {
        return 0;
    }
    int64_t now_ns = kj__clock_monotonic_ns();
    struct kj__bucket *bucket = NULL;
    if (identity && policy->identity_rates.count) {
        bucket = kj__map_get(&policy->identity_rates, kj_identity_name(identity));
    }
    /* Its own first: an identity asked for too often takes nothing from the others. */
    int64_t wait_ns = bucket ? kj__bucket_take(bucket, now_ns) : 0;
    return !wait_ns && policy->requests ? kj__bucket_take(policy->requests, now_ns) : wait_ns;
}

bool kj__policy_is_locked(const struct kj__policy *policy, const struct kj_identity *identity,
                          enum kj_operation operation)
{
    static const unsigned writes = KJ_OP_CREATE | KJ_OP_UPDATE | KJ_OP_PATCH | KJ_OP_DELETE;
    return atomic_load_explicit(&policy->is_read_only, memory_order_relaxed) &&
           ((unsigned)operation & writes) &&
           !kj__map_get(&policy->read_only_except, kj_identity_name(identity));
}

const char *kj__policy_route_path(const struct kj__policy *policy, const char *path)
{
    if (!policy->prefix) {
        return path;
    }
    bool is_behind = strncmp(path, policy->prefix, policy->prefix_len) == 0 &&
                     path[policy->prefix_len] == '/';
    return is_behind ? path + policy->prefix_len : NULL;
}
