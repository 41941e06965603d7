/* store_sqlite_transaction.c - see store_sqlite_transaction.h. */
#include "handlers/store_sqlite_transaction.h"

#include <string.h>

enum kj_status kj__sqlite_begin(struct kj__sqlite_transaction *transaction,
                                struct kj__sqlite_connection *connection)
{
    *transaction = (struct kj__sqlite_transaction){.connection = connection};
    connection->transaction = transaction;
    enum kj_status status = kj__sqlite_run(connection, "BEGIN IMMEDIATE", NULL);
    if (!status) {
        status = kj__sqlite_run(connection, "UPDATE state SET revision = revision + 1", NULL);
    }
    return status ? status
                  : kj__sqlite_ask(connection, "SELECT revision FROM state", NULL,
                                   &transaction->revision, NULL);
}

enum kj_status kj__sqlite_end(struct kj__sqlite_transaction *transaction, enum kj_status status)
{
    struct kj__sqlite_connection *connection = transaction->connection;
    if (!status) {
        status = kj__sqlite_write_sums(transaction);
    }
    if (!status) {
        status = kj__sqlite_run(connection, "COMMIT", NULL);
    }
    if (!sqlite3_get_autocommit(connection->db)) {
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    }
    kj__sqlite_forget_sums(transaction);
    connection->transaction = NULL;
    return status;
}

/* ---- sums ---- */

static struct kj__sqlite_sum *place_of(struct kj__sqlite_transaction *transaction, int64_t identity,
                                       const char *type, const char *id)
{
    uint32_t hash = 2166136261U ^ (uint32_t)identity;
    for (; *type; type++) {
        hash = (hash ^ (unsigned char)*type) * 16777619U;
    }
    for (; *id; id++) {
        hash = (hash ^ (unsigned char)*id) * 16777619U;
    }
    return &transaction->sums[hash % KJ__SQLITE_SUMS];
}

static enum kj_status add(struct kj__sqlite_connection *connection, const char *sql, int64_t number,
                          int64_t added)
{
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, number);
    (void)kj__sqlite_add_integer(&values, added);
    enum kj_status status = kj__sqlite_run(connection, sql, &values);
    kj__sqlite_values_fini(&values);
    return status;
}

static enum kj_status write_parent(struct kj__sqlite_connection *connection,
                                   const struct kj__sqlite_sum *sum)
{
    return add(connection, "UPDATE parents SET count = count + ?2 WHERE number = ?1", sum->parent,
               sum->added);
}

static enum kj_status write_identity(struct kj__sqlite_connection *connection, int64_t identity,
                                     int64_t added)
{
    return add(connection, "UPDATE identities SET count = count + ?2 WHERE number = ?1", identity,
               added);
}

/* The parent's number; one that has no children yet is made. */
static enum kj_status find_parent(struct kj__sqlite_connection *connection,
                                  struct kj__sqlite_sum *sum)
{
    struct kj__sqlite_values values = {0};
    bool found = false;
    (void)kj__sqlite_add_integer(&values, sum->identity);
    (void)kj__sqlite_add_text(&values, sum->type, strlen(sum->type));
    (void)kj__sqlite_add_text(&values, sum->id, strlen(sum->id));
    enum kj_status status = kj__sqlite_ask(
        connection, "SELECT number FROM parents WHERE identity = ?1 AND type = ?2 AND ID = ?3",
        &values, &sum->parent, &found);
    if (!status && !found) {
        status = kj__sqlite_run(
            connection, "INSERT INTO parents(identity, type, ID) VALUES(?1, ?2, ?3)", &values);
        sum->parent = sqlite3_last_insert_rowid(connection->db);
    }
    kj__sqlite_values_fini(&values);
    return status;
}

enum kj_status kj__sqlite_count_in(struct kj__sqlite_transaction *transaction, int64_t identity,
                                   const char *type, const char *id, int64_t *parent)
{
    struct kj__sqlite_sum *sum = place_of(transaction, identity, type, id);
    bool is_other = sum->added > 0 && (sum->identity != identity || strcmp(sum->type, type) != 0 ||
                                       strcmp(sum->id, id) != 0);
    enum kj_status status = KJ_OK;
    if (is_other) {
        status = write_parent(transaction->connection, sum);
        if (!status) {
            status = write_identity(transaction->connection, sum->identity, sum->added);
        }
        sum->added = 0;
    }
    if (!status && sum->added == 0) {
        sum->identity = identity;
        sum->type = type;
        sum->id = id;
        status = find_parent(transaction->connection, sum);
    }
    if (!status) {
        sum->added++;
        transaction->counted++;
        transaction->has_sums = true;
        *parent = sum->parent;
    }
    return status;
}

/* Of the identity of the sum at `first`, those sums together. */
static int64_t take_identity(int64_t added[KJ__SQLITE_SUMS],
                             const struct kj__sqlite_transaction *transaction, size_t first)
{
    int64_t sum = 0;
    for (size_t i = first; i < KJ__SQLITE_SUMS; i++) {
        if (transaction->sums[i].identity == transaction->sums[first].identity) {
            sum += added[i];
            added[i] = 0;
        }
    }
    return sum;
}

enum kj_status kj__sqlite_write_sums(struct kj__sqlite_transaction *transaction)
{
    int64_t added[KJ__SQLITE_SUMS];
    enum kj_status status = KJ_OK;
    if (!transaction->has_sums) {
        return KJ_OK;
    }
    for (size_t i = 0; i < KJ__SQLITE_SUMS; i++) {
        added[i] = transaction->sums[i].added;
    }
    for (size_t i = 0; i < KJ__SQLITE_SUMS && !status; i++) {
        if (transaction->sums[i].added) {
            status = write_parent(transaction->connection, &transaction->sums[i]);
        }
        if (!status && added[i]) {
            int64_t sum = take_identity(added, transaction, i);
            status = write_identity(transaction->connection, transaction->sums[i].identity, sum);
        }
    }
    kj__sqlite_forget_sums(transaction);
    return status;
}

void kj__sqlite_forget_sums(struct kj__sqlite_transaction *transaction)
{
    for (size_t i = 0; i < KJ__SQLITE_SUMS; i++) {
        transaction->sums[i].added = 0;
    }
    transaction->has_sums = false;
}
