/* auth_caller.h - a REST call and a session alike, as an authenticator sees them. */
#ifndef KJ_HANDLERS_AUTH_CALLER_H
#define KJ_HANDLERS_AUTH_CALLER_H

#include <kujata/handlers.h>
#include <stddef.h>
#include <stdint.h>

/* One of the two, and where a session's refusal is explained. */
struct kj__caller {
    struct kj_context *context;
    struct kj_session *session;
    struct kj_error *error;
};

/* NULL: the caller has shown none. */
const char *kj__caller_token(const struct kj__caller *caller);

/* Lets the caller in with these claims; a session until `expires_ms` (0: for ever). Refuses it
 * when there is no memory. */
enum kj_auth kj__caller_accept(const struct kj__caller *caller, const char *const *claims,
                               size_t count, int64_t expires_ms);

/* Refuses it with a 401 in these words; NULL: in the server's own. */
enum kj_auth kj__caller_refuse(const struct kj__caller *caller, const char *text);

/* Refuses it, or leaves it to the authenticators that follow. */
enum kj_auth kj__caller_pass_on(const struct kj__caller *caller, bool others_follow);

#endif
