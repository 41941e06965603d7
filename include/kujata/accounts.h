/* accounts.h - users with names and passwords, and the tokens they get for them.
 *
 * Passwords are kept as argon2id, tokens as hashes of 256 random bits. Everything is in a SQLite
 * file, which several nodes of one machine may share, or in memory.
 *
 * A login is refused for whatever reason after the same work, so that its time does not tell
 * whether there is such a name. Failures are limited for each pair of name and address, and for
 * each address (an IPv6 network of 64 bits counts as one): whoever guesses somebody's password
 * locks out himself, not its owner, who comes from elsewhere.
 *
 * Threads: every call is [any thread]; those that hash a password wait, and all may wait for the
 * disk: none is for a shard. The accounts must outlive the servers that use them.
 */
#ifndef KUJATA_ACCOUNTS_H
#define KUJATA_ACCOUNTS_H

#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/handlers.h>
#include <kujata/server.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj_accounts;

enum {
    KJ_ACCOUNT_NAME_MAX = 64, /* bytes of UTF-8 without control characters, invisible ones, and
                               * blanks at its ends; names that differ in the case of ASCII letters
                               * alone are one */
    KJ_PASSWORD_MIN = 8,      /* bytes */
    KJ_PASSWORD_MAX = 1024,
    KJ_ACCOUNT_TOKEN_SIZE = 44,  /* of its text, with the terminator */
    KJ_ACCOUNT_TOKENS_MAX = 256, /* of one account */
};

/* Zero means the default given. */
struct kj_accounts_options {
    const char *path;            /* of the SQLite file; NULL: memory; copied */
    uint32_t hash_passes;        /* of argon2id; 2, as libsodium has it for interactive use */
    uint32_t hash_memory_kib;    /* 65,536, likewise; at least 8,192 */
    uint32_t hashes_at_once;     /* 2; others wait */
    uint32_t hashes_waiting;     /* 8; beyond: KJ_EFULL */
    uint32_t token_lifetime_s;   /* 2,592,000: 30 days */
    uint32_t tokens_per_account; /* 16; a new one ends the oldest */
    bool one_login;              /* a login ends the others of its account */
    uint32_t accounts;           /* 1,000,000; beyond: KJ_ECLOSED */
    uint32_t failed_logins;      /* of a name from an address, at once; 5; ten times as many of an
                                  * address whatever the names */
    uint32_t failure_wait_s;     /* for one more; 60 */
    uint32_t registrations;      /* of an address, at once; 60, and one more each minute */
    bool is_closed;              /* nobody registers: KJ_ECLOSED */
    bool others_follow;          /* as of the authenticators of auth.h */
};

/* KJ_EINVAL for an option, KJ_EUNSUPPORTED for a file of a later version, KJ_EPARSE for one that
 * is something else, KJ_EIO, with `error` naming it; KJ_ENOMEM. */
enum kj_status kj_accounts_new(const struct kj_accounts_options *options,
                               struct kj_accounts **accounts, struct kj_error *error);
void kj_accounts_free(struct kj_accounts *accounts); /* NULL is fine */

struct kj_account {
    int64_t id; /* from 1 on; never given twice */
    char name[KJ_ACCOUNT_NAME_MAX + 1];
};

/* Borrowed. */
struct kj_account_credentials {
    const char *name, *password;
    const char *address; /* who asks, as kj_session_remote_address has it */
};

/* What a good password gives. */
struct kj_account_grant {
    struct kj_account account;
    char token[KJ_ACCOUNT_TOKEN_SIZE];
    int64_t expires_ms;     /* of the token, since 1970 */
    uint32_t retry_after_s; /* with KJ_ELIMIT and KJ_EFULL */
};

/* Makes an account and logs it in. KJ_EINVAL for a bad name or password with `error` saying why,
 * KJ_EEXIST for a name that is taken, KJ_ELIMIT for too many from that address, KJ_EFULL while too
 * many passwords are being hashed, KJ_ECLOSED with is_closed, or when there are as many accounts as
 * may be, KJ_EIO when the file fails, KJ_ENOMEM. */
enum kj_status kj_accounts_register(struct kj_accounts *accounts,
                                    const struct kj_account_credentials *credentials,
                                    struct kj_account_grant *grant, struct kj_error *error);

/* KJ_EREFUSED for a wrong name or password, KJ_ELIMIT after too many of them, KJ_EFULL, KJ_EIO,
 * KJ_ENOMEM. */
enum kj_status kj_accounts_login(struct kj_accounts *accounts,
                                 const struct kj_account_credentials *credentials,
                                 struct kj_account_grant *grant);

/* Who has the token, and until when (may be NULL). KJ_ENOTFOUND, KJ_EIO. */
enum kj_status kj_accounts_check(struct kj_accounts *accounts, const char *token,
                                 struct kj_account *account, int64_t *expires_ms);

/* The same for an authenticator of its own: the session ends with the token. */
enum kj_status kj_accounts_admit(struct kj_accounts *accounts, const char *token,
                                 struct kj_session *session, struct kj_account *account);

/* Ends the token and its sessions. KJ_ENOTFOUND, KJ_EIO. */
enum kj_status kj_accounts_logout(struct kj_accounts *accounts, const char *token);

/* The password of who has the token, once `credentials` have the old one; their name is not looked
 * at. Other tokens of the account end. KJ_ENOTFOUND for a bad token, KJ_EINVAL for a bad new
 * password, else as kj_accounts_login. */
enum kj_status kj_accounts_change_password(struct kj_accounts *accounts, const char *token,
                                           const struct kj_account_credentials *credentials,
                                           const char *password, uint32_t *retry_after_s,
                                           struct kj_error *error);

/* KJ_ENOTFOUND, KJ_EIO. */
enum kj_status kj_accounts_find(struct kj_accounts *accounts, const char *name,
                                struct kj_account *account);
enum kj_status kj_accounts_find_id(struct kj_accounts *accounts, int64_t id,
                                   struct kj_account *account);

/* What the server's options take: the claims are sub=NAME and account=ID, and a session ends with
 * its token. */
struct kj_request_authenticator kj_accounts_request(struct kj_accounts *accounts);
struct kj_session_authenticator kj_accounts_session(struct kj_accounts *accounts);
struct kj_counter_source kj_accounts_counters(struct kj_accounts *accounts);

/* Before the server's start: tokens that end, end their sessions there, and on the other nodes of
 * its gateway_prefix, which have the same file. */
void kj_accounts_attach(struct kj_accounts *accounts, struct kj_server *server);

/* The same, and the routes POST /v1/accounts/register, /login, /check, /logout and /password of its
 * public listener; see docs/accounts.md. As kj_server_add_route. */
enum kj_status kj_accounts_add_routes(struct kj_accounts *accounts, struct kj_server *server,
                                      struct kj_error *error);

#endif
