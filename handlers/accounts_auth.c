/* accounts_auth.c - tokens of accounts as credentials of calls and sessions; what is counted. */
#include "handlers/accounts.h"
#include "handlers/auth_caller.h"

#include <inttypes.h>
#include <stdio.h>

enum { CLAIM_SIZE = KJ_ACCOUNT_NAME_MAX + 32 };

static enum kj_auth accept(const struct kj__caller *caller, const struct kj_account *account,
                           int64_t expires_ms)
{
    char name[CLAIM_SIZE];
    char id[CLAIM_SIZE];
    const char *const claims[] = {name, id};
    (void)snprintf(name, sizeof name, "sub=%s", account->name);
    (void)snprintf(id, sizeof id, "account=%" PRId64, account->id);
    return kj__caller_accept(caller, claims, sizeof claims / sizeof *claims, expires_ms);
}

/* Once the session's expiry is set: a logout from here on finds the session, and lets it run out;
 * one before is seen by a second look. */
static enum kj_status bind(struct kj_accounts *accounts, struct kj_session *session,
                           const uint8_t hash[KJ__TOKEN_HASH_SIZE])
{
    kj_session_set_credential(session, kj__account_credential(hash));
    return kj__accounts_count(accounts,
                              kj__accounts_db_find_token(&accounts->db, hash, NULL, NULL));
}

static enum kj_auth authenticate(struct kj_accounts *accounts, const struct kj__caller *caller)
{
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    int64_t expires_ms;
    struct kj__account_row row;
    if (!kj__account_hash_token(kj__caller_token(caller), hash)) {
        return kj__caller_pass_on(caller, accounts->options.others_follow);
    }
    enum kj_status status = kj__accounts_db_find_token(&accounts->db, hash, &row, &expires_ms);
    if (kj__accounts_count(accounts, status) && status != KJ_ENOTFOUND) {
        return kj__caller_refuse(caller, "Your token cannot be looked at now");
    }
    if (status) {
        return kj__caller_pass_on(caller, accounts->options.others_follow);
    }
    enum kj_auth verdict = accept(caller, &row.account, expires_ms);
    if (verdict == KJ_AUTH_ACCEPT && caller->session && bind(accounts, caller->session, hash)) {
        return kj__caller_refuse(caller, NULL);
    }
    return verdict;
}

enum kj_status kj_accounts_admit(struct kj_accounts *accounts, const char *token,
                                 struct kj_session *session, struct kj_account *account)
{
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    int64_t expires_ms;
    enum kj_status status = kj_accounts_check(accounts, token, account, &expires_ms);
    if (status) {
        return status;
    }
    (void)kj__account_hash_token(token, hash);
    kj_session_set_expiry(session, expires_ms);
    return bind(accounts, session, hash);
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

struct kj_request_authenticator kj_accounts_request(struct kj_accounts *accounts)
{
    return (struct kj_request_authenticator){.authenticate = authenticate_request, .ctx = accounts};
}

struct kj_session_authenticator kj_accounts_session(struct kj_accounts *accounts)
{
    return (struct kj_session_authenticator){.authenticate = authenticate_session, .ctx = accounts};
}

/* ---- counters ---- */

static void read_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    const struct kj__accounts_numbers *numbers = &((const struct kj_accounts *)ctx)->numbers;
    visit("accounts_registered_total", "Accounts made", atomic_load(&numbers->registered),
          visit_ctx);
    visit("accounts_logins_total", "Tokens given for a password", atomic_load(&numbers->logins),
          visit_ctx);
    visit("accounts_logouts_total", "Tokens ended by who had them", atomic_load(&numbers->logouts),
          visit_ctx);
    visit("accounts_logins_refused_total", "Logins with a wrong name or password",
          atomic_load(&numbers->refused), visit_ctx);
    visit("accounts_limited_total", "Logins and registrations refused since there were too many",
          atomic_load(&numbers->limited), visit_ctx);
    visit("accounts_busy_total", "Calls refused since too many passwords were being hashed",
          atomic_load(&numbers->busy), visit_ctx);
    visit("accounts_full_total", "Registrations refused since there are as many accounts as may be",
          atomic_load(&numbers->full), visit_ctx);
    visit("accounts_sessions_ended_total", "Sessions ended with their token",
          atomic_load(&numbers->ended), visit_ctx);
    visit("accounts_failed_total", "Calls that failed for want of memory or since the file did",
          atomic_load(&numbers->failed), visit_ctx);
}

struct kj_counter_source kj_accounts_counters(struct kj_accounts *accounts)
{
    return (struct kj_counter_source){.read = read_counters, .ctx = accounts};
}
