/* store_sqlite_match.c - see store_sqlite_match.h. */
#include "handlers/store_sqlite_match.h"

#include "handlers/store_sqlite_filter.h"
#include "handlers/store_sqlite_marks.h"

#include <string.h>

static enum kj_status count_all(struct kj__sqlite_match *match)
{
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, match->collection->number);
    enum kj_status status = kj__sqlite_ask(match->connection,
                                           "SELECT count FROM identities WHERE number = ?1",
                                           &values, &match->all, NULL);
    kj__sqlite_values_fini(&values);
    match->siblings = match->all;
    return status;
}

static enum kj_status find_parent(struct kj__sqlite_match *match)
{
    const char *type = match->query->parent_type;
    const char *id = match->query->parent_id ? match->query->parent_id : "";
    bool has_row = false;
    sqlite3_stmt *statement;
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, match->collection->number);
    (void)kj__sqlite_add_text(&values, type, strlen(type));
    (void)kj__sqlite_add_text(&values, id, strlen(id));
    enum kj_status status = kj__sqlite_start(
        match->connection,
        "SELECT number, count FROM parents WHERE identity = ?1 AND type = ?2 AND ID = ?3", &values,
        &statement);
    if (!status) {
        status = kj__sqlite_step(match->connection, statement, &has_row);
    }
    match->parent = has_row ? sqlite3_column_int64(statement, 0) : 0;
    match->siblings = has_row ? sqlite3_column_int64(statement, 1) : 0;
    kj__sqlite_release(match->connection, statement);
    kj__sqlite_values_fini(&values);
    return status;
}

/* A parent of most objects is better looked at than looked up, unless nothing else narrows the
 * search. */
static void write_parent(struct kj__sqlite_match *match, sqlite3_str *where)
{
    enum { MOST = 4 };
    bool is_large = match->query->filter && match->siblings > match->all / MOST;
    if (match->parent) {
        sqlite3_str_appendf(where, "%sk.parent = ?%d", is_large ? "+" : "",
                            kj__sqlite_add_integer(&match->values, match->parent));
    } else {
        sqlite3_str_appendall(where, "1");
    }
}

static enum kj_status write_where(struct kj__sqlite_match *match)
{
    sqlite3_str *where = sqlite3_str_new(NULL);
    enum kj_status status = KJ_OK;
    write_parent(match, where);
    match->is_exact = true;
    if (match->query->filter) {
        struct kj__sqlite_condition condition = {.sql = where, .values = &match->values};
        sqlite3_str_appendall(where, " AND ");
        status = kj__sqlite_translate(match->connection, match->collection, match->query->filter,
                                      &condition);
        match->is_exact = condition.is_exact;
        match->equal = condition.equal;
    }
    if (!match->is_exact) {
        atomic_fetch_add(&match->connection->numbers->unindexed, 1);
        sqlite3_str_appendf(where, " AND kj_matches(?%d, o.object)",
                            kj__sqlite_add_filter(&match->values, match->query->filter));
    }
    match->where = sqlite3_str_finish(where);
    return status ? status : match->where ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status count_where(struct kj__sqlite_match *match)
{
    char *sql = sqlite3_mprintf(
        "SELECT count(*) FROM keys_%lld AS k%s WHERE %s", match->collection->number,
        match->is_exact ? "" : " CROSS JOIN objects AS o ON o.number = k.object", match->where);
    enum kj_status status = kj__sqlite_ask(match->connection, sql, &match->values, &match->matches,
                                           NULL);
    sqlite3_free(sql);
    return status;
}

/* What does not fit is most often less, as with `state != "open"`. */
static enum kj_status count_opposite(struct kj__sqlite_match *match, bool *is_done)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    struct kj__sqlite_values values = {0};
    struct kj__sqlite_condition condition = {.sql = sql, .values = &values, .is_opposite = true};
    sqlite3_str_appendf(sql, "SELECT count(*) FROM keys_%lld AS k WHERE ",
                        match->collection->number);
    if (match->parent) {
        sqlite3_str_appendf(sql, "+k.parent = ?%d AND ",
                            kj__sqlite_add_integer(&values, match->parent));
    }
    enum kj_status status = kj__sqlite_translate(match->connection, match->collection,
                                                 match->query->filter, &condition);
    char *text = sqlite3_str_finish(sql);
    int64_t others = 0;
    *is_done = condition.is_exact;
    if (!status && condition.is_exact) {
        status = kj__sqlite_ask(match->connection, text, &values, &others, NULL);
    }
    match->matches = match->siblings - others;
    sqlite3_free(text);
    kj__sqlite_values_fini(&values);
    return status;
}

static enum kj_status count_filtered(struct kj__sqlite_match *match)
{
    bool is_done = false;
    enum kj_status status = KJ_OK;
    if (match->is_exact && kj__sqlite_is_negation(match->query->filter)) {
        status = count_opposite(match, &is_done);
    }
    if (match->is_exact && !status && !is_done) {
        status = kj__sqlite_count_marked(match, &is_done);
    }
    return status || is_done ? status : count_where(match);
}

/* Counts, unless the same was counted since the latest write. With now() it changes by itself. */
static enum kj_status count_matches(struct kj__sqlite_match *match)
{
    match->matches = match->siblings;
    if (!match->query->filter || match->siblings == 0) {
        return KJ_OK;
    }
    const char *text = kj_filter_text(match->query->filter);
    struct kj__sqlite_totals *totals = match->connection->totals;
    char *question = sqlite3_mprintf("%lld %lld %s", match->collection->number, match->parent,
                                     text);
    int64_t revision = 0;
    enum kj_status status = question
                                ? kj__sqlite_ask(match->connection, "SELECT revision FROM state",
                                                 NULL, &revision, NULL)
                                : KJ_ENOMEM;
    bool is_lasting = strstr(text, "now(") == NULL;
    if (!status &&
        !(is_lasting && kj__sqlite_totals_get(totals, question, revision, &match->matches))) {
        status = count_filtered(match);
        if (!status && is_lasting) {
            kj__sqlite_totals_put(totals, question, revision, match->matches);
        }
    }
    sqlite3_free(question);
    return status;
}

enum kj_status kj__sqlite_match_init(struct kj__sqlite_match *match,
                                     struct kj__sqlite_connection *connection,
                                     const struct kj__sqlite_collection *collection,
                                     const struct kj_store_query *query)
{
    *match = (struct kj__sqlite_match){
        .connection = connection, .collection = collection, .query = query};
    enum kj_status status = count_all(match);
    if (!status && query->parent_type) {
        status = find_parent(match);
    }
    if (!status && match->siblings > 0) {
        status = write_where(match);
    }
    return status ? status : count_matches(match);
}

void kj__sqlite_match_fini(struct kj__sqlite_match *match)
{
    kj__sqlite_values_fini(&match->values);
    sqlite3_free(match->where);
}
