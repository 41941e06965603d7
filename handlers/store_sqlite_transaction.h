/* store_sqlite_transaction.h - one transaction of the thread that writes.
 *
 * The file keeps how many objects identities and parents have. What the writes of a transaction
 * add is summed up here and written once for each, at the end.
 */
#ifndef KJ_HANDLERS_STORE_SQLITE_TRANSACTION_H
#define KJ_HANDLERS_STORE_SQLITE_TRANSACTION_H

#include "handlers/store_sqlite_connection.h"

enum { KJ__SQLITE_SUMS = 64 };

/* What was added to one parent, and so to its identity. */
struct kj__sqlite_sum {
    int64_t added;         /* 0: this place is free */
    int64_t identity;      /* its number */
    const char *type, *id; /* of the parent; borrowed from a write, which outlives the sum */
    int64_t parent;        /* its number */
};

struct kj__sqlite_transaction {
    struct kj__sqlite_connection *connection;
    int64_t revision; /* greater than that of any object there is */
    struct kj__sqlite_sum sums[KJ__SQLITE_SUMS];
    bool has_sums;
    uint64_t counted; /* objects so far, whatever became of their sums */
};

enum kj_status kj__sqlite_begin(struct kj__sqlite_transaction *transaction,
                                struct kj__sqlite_connection *connection);

/* Commits; after a failure, which is handed on, and when it cannot, all is undone. */
enum kj_status kj__sqlite_end(struct kj__sqlite_transaction *transaction, enum kj_status status);

/* Counts an object of the identity and its parent, whose number this gives. */
enum kj_status kj__sqlite_count_in(struct kj__sqlite_transaction *transaction, int64_t identity,
                                   const char *type, const char *id, int64_t *parent);

/* Writes the sums, of which none is left then. */
enum kj_status kj__sqlite_write_sums(struct kj__sqlite_transaction *transaction);

/* When what was counted is undone. */
void kj__sqlite_forget_sums(struct kj__sqlite_transaction *transaction);

#endif
