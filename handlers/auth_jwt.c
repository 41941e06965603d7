/* auth_jwt.c - see kujata/auth.h.
 *
 * libjwt checks signatures; everything it is known to be lax about is looked at before it sees a
 * token: the length, the nesting (its parser recurses), the form of the base64, and that the header
 * names the one algorithm the operator chose. libjwt takes the algorithm from the header, so
 * without that a public key would serve as a secret, and "none" as a signature.
 */
#include "handlers/auth_caller.h"
#include "handlers/jwt_keys.h"
#include "handlers/jwt_text.h"

#include <kujata/auth.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MS_PER_S = 1000 };

/* Later than anyone's clock, and far from where milliseconds overflow: the year 9999. */
static const double seconds_max = 253402300799.0;

/* What one reading of the key gave; never changed afterwards. */
struct ring {
    _Atomic unsigned refs;
    struct kj__jwt_keys keys;
};

struct kj_auth_jwt {
    const struct kj__jwt_algorithm *algorithm;
    char *key_file, *jwks_file, *issuer, *audience; /* NULL: not given */
    double leeway_s;
    bool others_follow;
    pthread_mutex_t lock;
    struct ring *ring; /* guarded by it; a reference */
};

/* ---- keys ---- */

static void unref_ring(struct ring *ring)
{
    if (ring && atomic_fetch_sub(&ring->refs, 1) == 1) {
        kj__jwt_keys_fini(&ring->keys);
        free(ring);
    }
}

static struct ring *ref_ring(struct kj_auth_jwt *jwt)
{
    pthread_mutex_lock(&jwt->lock);
    struct ring *ring = jwt->ring;
    atomic_fetch_add(&ring->refs, 1);
    pthread_mutex_unlock(&jwt->lock);
    return ring;
}

enum kj_status kj_auth_jwt_reload(struct kj_auth_jwt *jwt, struct kj_error *error)
{
    struct ring *ring = calloc(1, sizeof *ring);
    if (!ring) {
        kj_error_set(error, 0, "no memory for the keys");
        return KJ_ENOMEM;
    }
    atomic_init(&ring->refs, 1);
    enum kj_status status = jwt->key_file ? kj__jwt_keys_read_one(&ring->keys, jwt->algorithm,
                                                                  jwt->key_file, error)
                                          : kj__jwt_keys_read_set(&ring->keys, jwt->algorithm,
                                                                  jwt->jwks_file, error);
    if (status) {
        free(ring);
        return status;
    }
    pthread_mutex_lock(&jwt->lock);
    struct ring *old = jwt->ring;
    jwt->ring = ring;
    pthread_mutex_unlock(&jwt->lock);
    unref_ring(old);
    return KJ_OK;
}

/* ---- life ---- */

static enum kj_status check_options(const struct kj_auth_jwt_options *options,
                                    struct kj_error *error)
{
    if (!kj__jwt_algorithm_find(options->algorithm)) {
        kj_error_set(error, 0,
                     "option algorithm (--jwt-alg): one of HS256, HS384, HS512, RS256, RS384, "
                     "RS512, ES256, ES384 and ES512 is needed");
        return KJ_EINVAL;
    }
    if (!options->key_file == !options->jwks_file) {
        kj_error_set(error, 0,
                     "options key_file (--jwt-key) and jwks_file (--jwt-jwks): one of them is "
                     "needed");
        return KJ_EINVAL;
    }
    return KJ_OK;
}

static bool copy_text(char **to, const char *text)
{
    *to = text ? strdup(text) : NULL;
    return *to || !text;
}

enum kj_status kj_auth_jwt_new(const struct kj_auth_jwt_options *options, struct kj_auth_jwt **jwt,
                               struct kj_error *error)
{
    *jwt = NULL;
    enum kj_status status = check_options(options, error);
    if (status) {
        return status;
    }
    struct kj_auth_jwt *made = calloc(1, sizeof *made);
    if (!made) {
        kj_error_set(error, 0, "no memory for the authenticator");
        return KJ_ENOMEM;
    }
    pthread_mutex_init(&made->lock, NULL);
    made->algorithm = kj__jwt_algorithm_find(options->algorithm);
    made->leeway_s = options->leeway_s;
    made->others_follow = options->others_follow;
    if (!copy_text(&made->key_file, options->key_file) ||
        !copy_text(&made->jwks_file, options->jwks_file) ||
        !copy_text(&made->issuer, options->issuer) ||
        !copy_text(&made->audience, options->audience)) {
        kj_error_set(error, 0, "no memory for the authenticator");
        status = KJ_ENOMEM;
    }
    status = status ? status : kj_auth_jwt_reload(made, error);
    if (status) {
        kj_auth_jwt_free(made);
        return status;
    }
    *jwt = made;
    return KJ_OK;
}

void kj_auth_jwt_free(struct kj_auth_jwt *jwt)
{
    if (jwt) {
        unref_ring(jwt->ring);
        pthread_mutex_destroy(&jwt->lock);
        free(jwt->audience);
        free(jwt->issuer);
        free(jwt->jwks_file);
        free(jwt->key_file);
        free(jwt);
    }
}

/* ---- one token; each check returns what is wrong, or NULL ---- */

static const char invalid[] = "The token is not valid";

static const char *check_signature(struct kj_auth_jwt *jwt, const char *token, const json_t *header)
{
    const char *name = json_string_value(json_object_get(header, "alg"));
    const json_t *kid = json_object_get(header, "kid");
    if (!name || strcmp(name, jwt->algorithm->name) != 0) {
        return "The token is not signed with the algorithm this server takes";
    }
    if (json_object_get(header, "crit") || (kid && !json_is_string(kid))) {
        return invalid; /* RFC 7515 4.1.11: an extension nobody here understands */
    }
    struct ring *ring = ref_ring(jwt);
    const struct kj__jwt_key *key = kj__jwt_keys_find(&ring->keys, json_string_value(kid));
    jwt_t *decoded = NULL;
    bool is_good = key && jwt_decode(&decoded, token, key->bytes, (int)key->len) == 0 &&
                   jwt_get_alg(decoded) == jwt->algorithm->id;
    jwt_free(decoded);
    unref_ring(ring);
    return is_good ? NULL : invalid;
}

/* False for a member that is no time; *seconds stays where there is none. */
static bool read_time(const json_t *payload, const char *name, double *seconds)
{
    const json_t *member = json_object_get(payload, name);
    if (!member) {
        return true;
    }
    *seconds = json_number_value(member);
    return json_is_number(member) && isfinite(*seconds);
}

static const char *check_times(const struct kj_auth_jwt *jwt, const json_t *payload,
                               int64_t *expires_ms)
{
    struct timespec now_ts;
    clock_gettime(CLOCK_REALTIME, &now_ts);
    double now = (double)now_ts.tv_sec;
    double expires = seconds_max;
    double not_before = 0;
    double issued = 0;
    if (!read_time(payload, "exp", &expires) || !read_time(payload, "nbf", &not_before) ||
        !read_time(payload, "iat", &issued)) {
        return invalid;
    }
    expires += jwt->leeway_s;
    if (expires <= now) {
        return "The token has expired";
    }
    if (not_before > now + jwt->leeway_s || issued > now + jwt->leeway_s) {
        return "The token is not valid yet";
    }
    *expires_ms = expires < seconds_max ? (int64_t)(expires * MS_PER_S) : 0;
    return NULL;
}

static bool is_or_holds(const json_t *value, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = json_string_value(json_array_get(value, i));
        if (text && strcmp(text, wanted) == 0) {
            return true;
        }
    }
    const char *text = json_string_value(value);
    return text && strcmp(text, wanted) == 0;
}

static const char *check_names(const struct kj_auth_jwt *jwt, const json_t *payload)
{
    const char *issuer = json_string_value(json_object_get(payload, "iss"));
    if (jwt->issuer && (!issuer || strcmp(issuer, jwt->issuer) != 0)) {
        return "The token is of another issuer";
    }
    if (jwt->audience && !is_or_holds(json_object_get(payload, "aud"), jwt->audience)) {
        return "The token is for another audience";
    }
    return NULL;
}

static enum kj_auth admit(const struct kj__caller *caller, const json_t *payload,
                          int64_t expires_ms)
{
    struct kj__jwt_claims claims;
    enum kj_status status = kj__jwt_claims_make(payload, &claims);
    enum kj_auth verdict = status ? kj__caller_refuse(caller, status == KJ_ELIMIT
                                                                  ? "The token has too many claims"
                                                                  : kj_status_text(status))
                                  : kj__caller_accept(caller, (const char *const *)claims.items,
                                                      claims.count, expires_ms);
    kj__jwt_claims_fini(&claims);
    return verdict;
}

static enum kj_auth authenticate(struct kj_auth_jwt *jwt, const struct kj__caller *caller)
{
    const char *token = kj__caller_token(caller);
    size_t len = token ? strnlen(token, KJ_AUTH_TOKEN_MAX + 1) : 0;
    struct kj__jwt_parts parts;
    if (len == 0 || len > KJ_AUTH_TOKEN_MAX || kj__jwt_split(token, len, &parts)) {
        return len > KJ_AUTH_TOKEN_MAX ? kj__caller_refuse(caller, "The token is too long")
                                       : kj__caller_pass_on(caller, jwt->others_follow);
    }
    int64_t expires_ms = 0;
    const char *fault = check_signature(jwt, token, parts.header);
    fault = fault ? fault : check_times(jwt, parts.payload, &expires_ms);
    fault = fault ? fault : check_names(jwt, parts.payload);
    enum kj_auth verdict = fault ? kj__caller_refuse(caller, fault)
                                 : admit(caller, parts.payload, expires_ms);
    kj__jwt_parts_fini(&parts);
    return verdict;
}

static enum kj_auth authenticate_request(struct kj_context *context, void *ctx)
{
    return authenticate(ctx, &(struct kj__caller){.context = context});
}

static enum kj_auth authenticate_session(struct kj_session *session, struct kj_error *error,
                                         void *ctx)
{
    return authenticate(ctx, &(struct kj__caller){.session = session, .error = error});
}

struct kj_request_authenticator kj_auth_jwt_request(struct kj_auth_jwt *jwt)
{
    return (struct kj_request_authenticator){.authenticate = authenticate_request, .ctx = jwt};
}

struct kj_session_authenticator kj_auth_jwt_session(struct kj_auth_jwt *jwt)
{
    return (struct kj_session_authenticator){.authenticate = authenticate_session, .ctx = jwt};
}
