/* accounts_db.h - accounts and tokens in SQLite: a file, or memory.
 *
 * One connection writes and one reads, each under a lock of its own, so that a look at a token does
 * not wait for a commit; in memory one does both. Every failure of the medium is logged and returns
 * KJ_EIO.
 */
#ifndef KJ_HANDLERS_ACCOUNTS_DB_H
#define KJ_HANDLERS_ACCOUNTS_DB_H

#include "handlers/accounts_hash.h"

#include <kujata/accounts.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KJ__TOKEN_HASH_SIZE = 32,
    KJ__ACCOUNTS_VERSION = 1,
    KJ__ACCOUNTS_APPLICATION = 0x6b6a6163, /* "kjac" */
    KJ__ACCOUNTS_STATEMENTS = 12,
    KJ__TOKENS_SWEPT = 16, /* of those that have run out, with each login */
};

struct kj__accounts_connection {
    pthread_mutex_t lock;
    sqlite3 *sqlite;                                   /* guarded by lock, as is all below */
    sqlite3_stmt *statements[KJ__ACCOUNTS_STATEMENTS]; /* NULL: not prepared yet */
};

struct kj__accounts_db {
    char *path; /* NULL: memory */
    struct kj__accounts_connection connections[2];
    struct kj__accounts_connection *writer, *reader;
    _Atomic int64_t next_line_ms; /* of the log */
};

/* What is kept of an account. */
struct kj__account_row {
    struct kj_account account;
    char password[KJ__PASSWORD_HASH_SIZE]; /* its hash */
};

struct kj__token_row {
    uint8_t hash[KJ__TOKEN_HASH_SIZE];
    int64_t account, expires_ms;
};

/* Hashes of tokens that are no more. */
struct kj__ended_tokens {
    uint8_t hashes[KJ_ACCOUNT_TOKENS_MAX + KJ__TOKENS_SWEPT][KJ__TOKEN_HASH_SIZE];
    size_t count;
};

/* As kj_accounts_new. */
enum kj_status kj__accounts_db_open(struct kj__accounts_db *db, const char *path,
                                    struct kj_error *error);
void kj__accounts_db_close(struct kj__accounts_db *db);

/* KJ_ENOTFOUND. */
enum kj_status kj__accounts_db_find(struct kj__accounts_db *db, const char *name,
                                    struct kj__account_row *row);
enum kj_status kj__accounts_db_find_id(struct kj__accounts_db *db, int64_t id,
                                       struct kj__account_row *row);

/* KJ_EEXIST, KJ_ECLOSED beyond `accounts_max`. */
enum kj_status kj__accounts_db_add(struct kj__accounts_db *db, struct kj__account_row *row,
                                   uint32_t accounts_max);

/* KJ_ENOTFOUND when the account has another password than the old one by now. */
enum kj_status kj__accounts_db_set_password(struct kj__accounts_db *db,
                                            const struct kj__account_row *old,
                                            const char *password);

/* KJ_ENOTFOUND when the account's password is not that of `row` any more. Of its tokens `keep` at
 * most are left: the oldest are ended. */
enum kj_status kj__accounts_db_add_token(struct kj__accounts_db *db,
                                         const struct kj__account_row *row,
                                         const struct kj__token_row *token, uint32_t keep,
                                         struct kj__ended_tokens *ended);

/* Who has the token, and until when; NULL for what is not wanted. KJ_ENOTFOUND. */
enum kj_status kj__accounts_db_find_token(struct kj__accounts_db *db,
                                          const uint8_t hash[KJ__TOKEN_HASH_SIZE],
                                          struct kj__account_row *row, int64_t *expires_ms);

/* KJ_ENOTFOUND. */
enum kj_status kj__accounts_db_drop_token(struct kj__accounts_db *db,
                                          const uint8_t hash[KJ__TOKEN_HASH_SIZE]);

/* The same as kj__accounts_db_set_password, and ends the tokens of the account but one: both, or
 * neither. */
enum kj_status kj__accounts_db_change_password(struct kj__accounts_db *db,
                                               const struct kj__account_row *old,
                                               const char *password,
                                               const uint8_t hash[KJ__TOKEN_HASH_SIZE],
                                               struct kj__ended_tokens *ended);

int64_t kj__accounts_now_ms(void); /* since 1970 */

#endif
