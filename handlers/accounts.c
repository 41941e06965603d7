/* accounts.c - see kujata/accounts.h. */
#include "handlers/accounts.h"
#include "handlers/accounts_name.h"

#include <kujata/log.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HASH_PASSES_DEFAULT = 2,
    HASH_PASSES_MAX = 100,
    HASH_MEMORY_DEFAULT_KIB = 64 * 1024,
    HASH_MEMORY_MIN_KIB = 8 * 1024,
    HASH_MEMORY_MAX_KIB = 4 * 1024 * 1024,
    HASHES_AT_ONCE_DEFAULT = 2,
    HASHES_WAITING_DEFAULT = 8,
    LIFETIME_DEFAULT_S = 30 * 24 * 3600,
    TOKENS_DEFAULT = 16,
    ACCOUNTS_DEFAULT = 1000000,
    FAILURES_DEFAULT = 5,
    FAILURES_MAX = 10000,
    FAILURE_WAIT_DEFAULT_S = 60,
    FAILURE_WAIT_MAX_S = 24 * 3600,
    REGISTRATIONS_DEFAULT = 60,
    REGISTRATION_WAIT_MS = 60 * 1000,
    NAMES_OF_ADDRESS = 10, /* failures of an address are so many times those of one name */
    TOKEN_BYTES = 32,
    BUSY_RETRY_S = 1,
    MS_PER_S = 1000,
    LINE_SIZE = 256,
};

/* ---- life ---- */

struct range {
    const char *name;
    uint32_t *value, fallback, minimum, maximum;
};

static enum kj_status fill_options(struct kj_accounts_options *own, struct kj_error *error)
{
    const struct range ranges[] = {
        {"hash_passes", &own->hash_passes, HASH_PASSES_DEFAULT, 1, HASH_PASSES_MAX},
        {"hash_memory_kib", &own->hash_memory_kib, HASH_MEMORY_DEFAULT_KIB, HASH_MEMORY_MIN_KIB,
         HASH_MEMORY_MAX_KIB},
        {"hashes_at_once", &own->hashes_at_once, HASHES_AT_ONCE_DEFAULT, 1, UINT32_MAX},
        {"hashes_waiting", &own->hashes_waiting, HASHES_WAITING_DEFAULT, 1, UINT32_MAX},
        {"token_lifetime_s", &own->token_lifetime_s, LIFETIME_DEFAULT_S, 1, UINT32_MAX},
        {"tokens_per_account", &own->tokens_per_account, TOKENS_DEFAULT, 1, KJ_ACCOUNT_TOKENS_MAX},
        {"accounts", &own->accounts, ACCOUNTS_DEFAULT, 1, UINT32_MAX},
        {"failed_logins", &own->failed_logins, FAILURES_DEFAULT, 1, FAILURES_MAX},
        {"failure_wait_s", &own->failure_wait_s, FAILURE_WAIT_DEFAULT_S, 1, FAILURE_WAIT_MAX_S},
        {"registrations", &own->registrations, REGISTRATIONS_DEFAULT, 1, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const struct range *range = &ranges[i];
        *range->value = *range->value ? *range->value : range->fallback;
        if (*range->value < range->minimum || *range->value > range->maximum) {
            kj_error_set(error, 0, "option %s: from %u to %u", range->name, range->minimum,
                         range->maximum);
            return KJ_EINVAL;
        }
    }
    return KJ_OK;
}

static enum kj_status start(struct kj_accounts *accounts, struct kj_error *error)
{
    const struct kj_accounts_options *options = &accounts->options;
    accounts->hasher.at_once = options->hashes_at_once;
    accounts->hasher.waiting_max = options->hashes_waiting;
    bool is_made = !kj__hasher_init(&accounts->hasher, options->hash_passes,
                                    options->hash_memory_kib);
    is_made = kj__attempts_init(&accounts->attempts) && is_made;
    enum kj_status status = kj__accounts_db_open(&accounts->db, options->path, error);
    accounts->options.path = NULL; /* the caller's; the database has its own */
    if (!is_made) {
        kj_error_set(error, 0, "no memory for the accounts and %u KiB of hash_memory_kib",
                     options->hash_memory_kib);
        return KJ_ENOMEM;
    }
    return status;
}

enum kj_status kj_accounts_new(const struct kj_accounts_options *options,
                               struct kj_accounts **accounts, struct kj_error *error)
{
    *accounts = NULL;
    struct kj_accounts *made = calloc(1, sizeof *made);
    if (!made || sodium_init() < 0) {
        kj_error_set(error, 0, "no memory or no randomness for the accounts");
        free(made);
        return KJ_ENOMEM;
    }
    made->options = *options;
    enum kj_status status = fill_options(&made->options, error);
    if (status) {
        free(made);
        return status;
    }
    status = start(made, error);
    if (status) {
        kj_accounts_free(made);
        return status;
    }
    *accounts = made;
    return KJ_OK;
}

void kj_accounts_free(struct kj_accounts *accounts)
{
    if (accounts) {
        kj__accounts_db_close(&accounts->db);
        kj__attempts_fini(&accounts->attempts);
        kj__hasher_fini(&accounts->hasher);
        free(accounts);
    }
}

enum kj_status kj__accounts_count(struct kj_accounts *accounts, enum kj_status status)
{
    if (status == KJ_EIO || status == KJ_ENOMEM) {
        atomic_fetch_add(&accounts->numbers.failed, 1);
    }
    return status;
}

/* ---- passwords ---- */

static enum kj_status refuse_password(struct kj_error *error)
{
    kj_error_set(error, 0, "a password has %d to %d bytes", KJ_PASSWORD_MIN, KJ_PASSWORD_MAX);
    return KJ_EINVAL;
}

/* ---- attempts ---- */

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}

/* In whole seconds, at least one. */
static uint32_t seconds_of(int64_t ms)
{
    return (uint32_t)((ms + MS_PER_S - 1) / MS_PER_S);
}

/* One line a second is enough to act on; the counters have all of them. */
__attribute__((format(printf, 2, 3))) static void report(_Atomic int64_t *next_line_ms,
                                                         const char *format, ...)
{
    char text[LINE_SIZE];
    va_list arguments;
    int64_t due = atomic_load(next_line_ms);
    int64_t now = monotonic_ms();
    if (now >= due && atomic_compare_exchange_strong(next_line_ms, &due, now + MS_PER_S)) {
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        kj_log(KJ_LOG_WARNING, "accounts", "%s", text);
    }
}

static enum kj_status limit(struct kj_accounts *accounts, const char *address, int64_t wait_ms,
                            uint32_t *retry_after_s)
{
    if (wait_ms == 0) {
        return KJ_OK;
    }
    report(&accounts->lines.limited,
           "too many wrong logins, or registrations, from %s: see --account-limit-failures and "
           "--account-limit-registrations",
           address);
    atomic_fetch_add(&accounts->numbers.limited, 1);
    *retry_after_s = seconds_of(wait_ms);
    return KJ_ELIMIT;
}

/* One guess of a name's password counts for the pair and for the address. */
struct guess {
    struct kj__attempt of_name, of_address;
};

static struct guess guess_of(const struct kj_accounts *accounts, const char *name,
                             const char *address)
{
    uint32_t wait_ms = accounts->options.failure_wait_s * MS_PER_S;
    uint32_t at_once = accounts->options.failed_logins;
    return (struct guess){
        .of_name = {KJ__ATTEMPT_LOGIN, name, address, at_once, wait_ms},
        .of_address = {KJ__ATTEMPT_ADDRESS, NULL, address, at_once * NAMES_OF_ADDRESS,
                       wait_ms / NAMES_OF_ADDRESS},
    };
}

/* Before the hash, so that no number of guesses at the same time gets by. */
static enum kj_status begin_guess(struct kj_accounts *accounts, const struct guess *guess,
                                  uint32_t *retry_after_s)
{
    int64_t now = monotonic_ms();
    int64_t wait_ms = kj__attempts_take(&accounts->attempts, &guess->of_address, now);
    if (wait_ms == 0) {
        wait_ms = kj__attempts_take(&accounts->attempts, &guess->of_name, now);
        if (wait_ms > 0) {
            kj__attempts_give_back(&accounts->attempts, &guess->of_address);
        }
    }
    return limit(accounts, guess->of_address.address, wait_ms, retry_after_s);
}

static void end_guess(struct kj_accounts *accounts, const struct guess *guess,
                      enum kj_status status)
{
    if (status == KJ_EREFUSED) {
        atomic_fetch_add(&accounts->numbers.refused, 1);
    } else {
        kj__attempts_give_back(&accounts->attempts, &guess->of_name);
        kj__attempts_give_back(&accounts->attempts, &guess->of_address);
    }
}

static enum kj_status note_busy(struct kj_accounts *accounts, enum kj_status status,
                                uint32_t *retry_after_s)
{
    if (status == KJ_EFULL) {
        report(&accounts->lines.busy,
               "refused, since too many passwords are being hashed: see --account-hashes and "
               "--account-hashes-waiting");
        atomic_fetch_add(&accounts->numbers.busy, 1);
        *retry_after_s = BUSY_RETRY_S;
    }
    return status;
}

/* ---- tokens ---- */

uint64_t kj__account_credential(const uint8_t hash[KJ__TOKEN_HASH_SIZE])
{
    uint64_t credential;
    memcpy(&credential, hash, sizeof credential);
    return credential ? credential : 1;
}

bool kj__account_hash_token(const char *token, uint8_t hash[KJ__TOKEN_HASH_SIZE])
{
    if (!token || strnlen(token, KJ_ACCOUNT_TOKEN_SIZE) != KJ_ACCOUNT_TOKEN_SIZE - 1) {
        return false;
    }
    crypto_generichash(hash, KJ__TOKEN_HASH_SIZE, (const unsigned char *)token,
                       KJ_ACCOUNT_TOKEN_SIZE - 1, NULL, 0);
    return true;
}

static void end_sessions(struct kj_accounts *accounts, const uint8_t *hash)
{
    if (accounts->end_sessions) {
        size_t count = accounts->end_sessions(accounts->server, kj__account_credential(hash));
        atomic_fetch_add(&accounts->numbers.ended, count);
    }
}

static void end_all(struct kj_accounts *accounts, const struct kj__ended_tokens *ended)
{
    for (size_t i = 0; i < ended->count; i++) {
        end_sessions(accounts, ended->hashes[i]);
    }
}

static enum kj_status give_token(struct kj_accounts *accounts, const struct kj__account_row *row,
                                 struct kj_account_grant *grant)
{
    unsigned char random[TOKEN_BYTES];
    struct kj__ended_tokens ended;
    struct kj__token_row token = {
        .account = row->account.id,
        .expires_ms = kj__accounts_now_ms() +
                      (int64_t)accounts->options.token_lifetime_s * MS_PER_S,
    };
    uint32_t keep = accounts->options.one_login ? 1 : accounts->options.tokens_per_account;
    randombytes_buf(random, sizeof random);
    sodium_bin2base64(grant->token, sizeof grant->token, random, sizeof random,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
    (void)kj__account_hash_token(grant->token, token.hash);
    enum kj_status status = kj__accounts_db_add_token(&accounts->db, row, &token, keep, &ended);
    if (status) {
        sodium_memzero(grant->token, sizeof grant->token);
        return status == KJ_ENOTFOUND ? KJ_EREFUSED : status; /* it has another password by now */
    }
    end_all(accounts, &ended);
    atomic_fetch_add(&accounts->numbers.logins, 1);
    grant->account = row->account;
    grant->expires_ms = token.expires_ms;
    return KJ_OK;
}

/* ---- operations ---- */

enum kj_status kj_accounts_register(struct kj_accounts *accounts,
                                    const struct kj_account_credentials *credentials,
                                    struct kj_account_grant *grant, struct kj_error *error)
{
    const struct kj__attempt attempt = {KJ__ATTEMPT_REGISTRATION, NULL, credentials->address,
                                        accounts->options.registrations, REGISTRATION_WAIT_MS};
    struct kj__account_row row = {0};
    *grant = (struct kj_account_grant){0};
    if (accounts->options.is_closed) {
        return KJ_ECLOSED;
    }
    if (!kj__account_is_name(credentials->name)) {
        kj_error_set(error, 0,
                     "a name has 1 to %d bytes of UTF-8, all of them visible and no blank at "
                     "either end",
                     KJ_ACCOUNT_NAME_MAX);
        return KJ_EINVAL;
    }
    if (!kj__account_is_password(credentials->password)) {
        return refuse_password(error);
    }
    int64_t wait_ms = kj__attempts_take(&accounts->attempts, &attempt, monotonic_ms());
    enum kj_status status = limit(accounts, credentials->address, wait_ms, &grant->retry_after_s);
    if (!status) {
        status = kj__hasher_hash(&accounts->hasher, credentials->password, row.password);
        status = note_busy(accounts, status, &grant->retry_after_s);
    }
    if (!status) {
        memcpy(row.account.name, credentials->name, strlen(credentials->name) + 1);
        status = kj__accounts_db_add(&accounts->db, &row, accounts->options.accounts);
    }
    if (status == KJ_ECLOSED) {
        report(&accounts->lines.full,
               "there are %u accounts and no more are made: see "
               "--account-limit",
               accounts->options.accounts);
        atomic_fetch_add(&accounts->numbers.full, 1);
    }
    if (!status) {
        atomic_fetch_add(&accounts->numbers.registered, 1);
        status = give_token(accounts, &row, grant);
    }
    sodium_memzero(row.password, sizeof row.password);
    return kj__accounts_count(accounts, status);
}

/* Replaces a hash that was made with other settings. Failing that, the old one is as good. */
static void renew_hash(struct kj_accounts *accounts, struct kj__account_row *row,
                       const char *password)
{
    char hash[KJ__PASSWORD_HASH_SIZE];
    if (kj__hasher_is_outdated(&accounts->hasher, row->password) &&
        !kj__hasher_hash(&accounts->hasher, password, hash) &&
        !kj__accounts_db_set_password(&accounts->db, row, hash)) {
        memcpy(row->password, hash, sizeof hash);
    }
}

/* Whether the password is that of the row; NULL: of nobody, which takes as long. */
static enum kj_status verify(struct kj_accounts *accounts, const char *name, const char *address,
                             const char *password, const struct kj__account_row *row,
                             uint32_t *retry_after_s)
{
    const struct guess guess = guess_of(accounts, name, address);
    enum kj_status status = begin_guess(accounts, &guess, retry_after_s);
    if (!status) {
        status = kj__hasher_verify(&accounts->hasher, password, row ? row->password : NULL);
        end_guess(accounts, &guess, status);
        status = note_busy(accounts, status, retry_after_s);
    }
    return status;
}

/* *is_other: the account has another hash by now than the one it was looked at with, be it of the
 * same password, which another login has hashed anew. */
static enum kj_status log_in(struct kj_accounts *accounts,
                             const struct kj_account_credentials *credentials,
                             struct kj_account_grant *grant, bool *is_other)
{
    struct kj__account_row row;
    *is_other = false;
    enum kj_status found = kj__accounts_db_find(&accounts->db, credentials->name, &row);
    if (found && found != KJ_ENOTFOUND) {
        return found;
    }
    enum kj_status status = verify(accounts, credentials->name, credentials->address,
                                   credentials->password, found ? NULL : &row,
                                   &grant->retry_after_s);
    if (!status) {
        renew_hash(accounts, &row, credentials->password);
        status = give_token(accounts, &row, grant);
        *is_other = status == KJ_EREFUSED;
    }
    sodium_memzero(row.password, sizeof row.password);
    return status;
}

enum kj_status kj_accounts_login(struct kj_accounts *accounts,
                                 const struct kj_account_credentials *credentials,
                                 struct kj_account_grant *grant)
{
    bool is_other;
    *grant = (struct kj_account_grant){0};
    if (!kj__account_is_name(credentials->name) ||
        !kj__account_is_password(credentials->password)) {
        atomic_fetch_add(&accounts->numbers.refused, 1);
        return KJ_EREFUSED; /* nobody's */
    }
    enum kj_status status = log_in(accounts, credentials, grant, &is_other);
    if (is_other) {
        status = log_in(accounts, credentials, grant, &is_other);
    }
    return kj__accounts_count(accounts, status);
}

enum kj_status kj_accounts_check(struct kj_accounts *accounts, const char *token,
                                 struct kj_account *account, int64_t *expires_ms)
{
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    struct kj__account_row row;
    if (!kj__account_hash_token(token, hash)) {
        return KJ_ENOTFOUND;
    }
    enum kj_status status = kj__accounts_db_find_token(&accounts->db, hash, &row, expires_ms);
    if (!status) {
        *account = row.account;
    }
    return kj__accounts_count(accounts, status);
}

enum kj_status kj_accounts_logout(struct kj_accounts *accounts, const char *token)
{
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    if (!kj__account_hash_token(token, hash)) {
        return KJ_ENOTFOUND;
    }
    enum kj_status status = kj__accounts_db_drop_token(&accounts->db, hash);
    if (!status) {
        atomic_fetch_add(&accounts->numbers.logouts, 1);
        end_sessions(accounts, hash);
    }
    return kj__accounts_count(accounts, status);
}

enum kj_status kj_accounts_change_password(struct kj_accounts *accounts, const char *token,
                                           const struct kj_account_credentials *credentials,
                                           const char *password, uint32_t *retry_after_s,
                                           struct kj_error *error)
{
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    char changed[KJ__PASSWORD_HASH_SIZE];
    struct kj__account_row row;
    struct kj__ended_tokens ended;
    *retry_after_s = 0;
    if (!kj__account_hash_token(token, hash)) {
        return KJ_ENOTFOUND;
    }
    if (!kj__account_is_password(password)) {
        return refuse_password(error);
    }
    enum kj_status status = kj__accounts_db_find_token(&accounts->db, hash, &row, NULL);
    if (!status && !kj__account_is_password(credentials->password)) {
        status = KJ_EREFUSED;
    }
    if (!status) {
        status = verify(accounts, row.account.name, credentials->address, credentials->password,
                        &row, retry_after_s);
    }
    if (!status) {
        status = kj__hasher_hash(&accounts->hasher, password, changed);
        status = note_busy(accounts, status, retry_after_s);
    }
    if (!status) {
        status = kj__accounts_db_change_password(&accounts->db, &row, changed, hash, &ended);
        status = status == KJ_ENOTFOUND ? KJ_EREFUSED : status; /* it has another by now */
    }
    if (!status) {
        end_all(accounts, &ended);
    }
    sodium_memzero(row.password, sizeof row.password);
    return kj__accounts_count(accounts, status);
}

static enum kj_status take_found(struct kj_accounts *accounts, enum kj_status status,
                                 const struct kj__account_row *row, struct kj_account *account)
{
    if (!status) {
        *account = row->account;
    }
    return kj__accounts_count(accounts, status);
}

enum kj_status kj_accounts_find(struct kj_accounts *accounts, const char *name,
                                struct kj_account *account)
{
    struct kj__account_row row;
    return take_found(accounts, kj__accounts_db_find(&accounts->db, name, &row), &row, account);
}

enum kj_status kj_accounts_find_id(struct kj_accounts *accounts, int64_t id,
                                   struct kj_account *account)
{
    struct kj__account_row row;
    return take_found(accounts, kj__accounts_db_find_id(&accounts->db, id, &row), &row, account);
}
