/* auth_caller.c - see auth_caller.h. */
#include "handlers/auth_caller.h"

#include <kujata/auth.h>

const char *kj__caller_token(const struct kj__caller *caller)
{
    return caller->context ? kj_context_token(caller->context) : kj_session_token(caller->session);
}

static enum kj_status set_claims(const struct kj__caller *caller, const char *const *claims,
                                 size_t count)
{
    return caller->context ? kj_context_set_claims(caller->context, claims, count)
                           : kj_session_set_claims(caller->session, claims, count);
}

enum kj_auth kj__caller_accept(const struct kj__caller *caller, const char *const *claims,
                               size_t count, int64_t expires_ms)
{
    if (set_claims(caller, claims, count)) {
        return kj__caller_refuse(caller, "There is no memory to authenticate you");
    }
    if (caller->session) {
        kj_session_set_expiry(caller->session, expires_ms);
    }
    return KJ_AUTH_ACCEPT;
}

enum kj_auth kj__caller_refuse(const struct kj__caller *caller, const char *text)
{
    if (text && caller->context) {
        const struct kj_api_error error = {
            .code = 401, .title = "Unauthorized", .subject = "bahamut", .description = text};
        (void)kj_context_fail(caller->context, &error);
    } else if (text) {
        kj_error_set(caller->error, 0, "%s", text);
    }
    return KJ_AUTH_REFUSE;
}

enum kj_auth kj__caller_pass_on(const struct kj__caller *caller, bool others_follow)
{
    return others_follow ? KJ_AUTH_CONTINUE : kj__caller_refuse(caller, NULL);
}

static enum kj_auth let_read(struct kj_context *context, void *ctx)
{
    (void)ctx;
    const unsigned reads = KJ_OP_RETRIEVE | KJ_OP_RETRIEVE_MANY | KJ_OP_INFO;
    bool is_read = ((unsigned)kj_context_request(context)->operation & reads) != 0;
    return is_read && !kj_context_token(context) ? KJ_AUTH_ACCEPT : KJ_AUTH_CONTINUE;
}

struct kj_request_authenticator kj_auth_public_reads(void)
{
    return (struct kj_request_authenticator){.authenticate = let_read};
}
