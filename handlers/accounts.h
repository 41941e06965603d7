/* accounts.h - what the files of the accounts share. */
#ifndef KJ_HANDLERS_ACCOUNTS_H
#define KJ_HANDLERS_ACCOUNTS_H

#include "handlers/accounts_attempts.h"
#include "handlers/accounts_db.h"
#include "handlers/accounts_hash.h"

#include <kujata/accounts.h>

struct kj__accounts_numbers {
    _Atomic uint64_t registered, logins, logouts, refused, limited, busy, full, failed, ended;
};

/* When the next line of each kind may be logged. */
struct kj__accounts_lines {
    _Atomic int64_t limited, busy, full;
};

struct kj_accounts {
    struct kj_accounts_options options; /* every default filled in */
    struct kj__accounts_db db;
    struct kj__hasher hasher;
    struct kj__attempts attempts;
    struct kj__accounts_numbers numbers;
    struct kj__accounts_lines lines;
    /* Set before the server's start. */
    size_t (*end_sessions)(void *server, uint64_t credential);
    void *server;
};

/* By which the sessions of a token are ended. */
uint64_t kj__account_credential(const uint8_t hash[KJ__TOKEN_HASH_SIZE]);

/* What is kept of a token. False for a text that is none. */
bool kj__account_hash_token(const char *token, uint8_t hash[KJ__TOKEN_HASH_SIZE]);

/* Counts a failure of the file. */
enum kj_status kj__accounts_count(struct kj_accounts *accounts, enum kj_status status);

#endif
