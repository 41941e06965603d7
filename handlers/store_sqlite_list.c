/* store_sqlite_list.c - see store_sqlite_list.h.
 *
 * A list is one transaction, so that total and page are of one moment. The matches are counted
 * first (without a filter the count is kept), which tells how to get at the page: along the index
 * of its order, passing over what does not match, or by collecting all matches and sorting them.
 * With m matches among n objects a page of p passes over p * n / m on the first way and collects m
 * on the second.
 *
 * Along an index equals come by ascending ID. A descending order needs that too, which the index
 * read backwards does not give, so that is read one group of equals after another.
 */
#include "handlers/store_sqlite_list.h"

#include "handlers/store_common.h"
#include "handlers/store_sqlite_key.h"
#include "handlers/store_sqlite_match.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_NAME_SIZE = 32, KEY_TEXT_SIZE = 96, STEPS_PER_LOOK = 1000 };

struct list {
    struct kj__sqlite_match match;
    const struct kj_store_query *query;
    struct kj__order *order; /* no keys: by ID */
    json_t *page;
    size_t bytes;                /* of the page's objects */
    bool is_full;                /* no further object goes into the page */
    size_t own_values;           /* of the match's, those of its own */
    const char *id_sign;         /* "+" keeps the planner from going by the order */
    char index[INDEX_NAME_SIZE]; /* " INDEXED BY ..." or "" */
};

/* ---- the order ---- */

/* What a key is compared by: a column, or the key made of the object. */
static void write_key(struct list *list, const struct kj__order_key *key, char text[KEY_TEXT_SIZE])
{
    const struct kj__sqlite_attribute *attribute = kj__sqlite_attribute_of(list->match.collection,
                                                                           key->name);
    if (strcmp(key->name, "ID") == 0) {
        (void)sqlite3_snprintf(KEY_TEXT_SIZE, text, "%sk.ID", list->id_sign);
    } else if (attribute) {
        (void)sqlite3_snprintf(KEY_TEXT_SIZE, text, "%sk.k%lld", list->id_sign, attribute->number);
    } else {
        (void)sqlite3_snprintf(
            KEY_TEXT_SIZE, text,
            "kj_key((SELECT object FROM objects WHERE number = k.object), ?%d, ?%d)",
            kj__sqlite_add_text(&list->match.values, key->name, strlen(key->name)),
            kj__sqlite_add_integer(&list->match.values, key->is_time));
    }
}

/* The parameter that is a key's value at the place to go on behind. */
static int add_place(struct list *list, size_t index)
{
    const struct kj__order_key *key = &list->order->keys[index];
    const json_t *json = json_array_get(list->query->after_keys, index);
    if (strcmp(key->name, "ID") == 0) {
        const char *id = json_is_string(json) ? json_string_value(json) : "";
        return kj__sqlite_add_text(&list->match.values, id, strlen(id));
    }
    struct kj__order_value value;
    size_t len = 0;
    kj__order_value_read(&value, json, key->is_time);
    unsigned char *bytes = kj__sqlite_key_new(&value, &len);
    return kj__sqlite_add_key_take(&list->match.values, bytes, len);
}

static bool is_ascending(const struct kj__order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        if (order->keys[i].is_descending) {
            return false;
        }
    }
    return true;
}

/* Behind the place, all keys ascending: a comparison of rows, which goes by an index. */
static void write_after_row(struct list *list, sqlite3_str *sql)
{
    const char *id = list->query->after;
    char key[KEY_TEXT_SIZE];
    sqlite3_str_appendall(sql, " AND (");
    for (size_t i = 0; i < list->order->count; i++) {
        write_key(list, &list->order->keys[i], key);
        sqlite3_str_appendf(sql, "%s, ", key);
    }
    sqlite3_str_appendf(sql, "%sk.ID) > (", list->id_sign);
    for (size_t i = 0; i < list->order->count; i++) {
        sqlite3_str_appendf(sql, "?%d, ", add_place(list, i));
    }
    sqlite3_str_appendf(sql, "?%d)", kj__sqlite_add_text(&list->match.values, id, strlen(id)));
}

/* Behind the place in mixed directions: behind in the first key, or equal in it and behind in the
 * next, and so on. */
static void write_after_keys(struct list *list, sqlite3_str *sql)
{
    const char *id = list->query->after;
    char key[KEY_TEXT_SIZE];
    sqlite3_str_appendall(sql, " AND (");
    for (size_t i = 0; i < list->order->count; i++) {
        int place = add_place(list, i);
        write_key(list, &list->order->keys[i], key);
        sqlite3_str_appendf(sql, "%s %s ?%d OR (%s = ?%d AND (", key,
                            list->order->keys[i].is_descending ? "<" : ">", place, key, place);
    }
    sqlite3_str_appendf(sql, "%sk.ID > ?%d", list->id_sign,
                        kj__sqlite_add_text(&list->match.values, id, strlen(id)));
    for (size_t i = 0; i < list->order->count; i++) {
        sqlite3_str_appendall(sql, "))");
    }
    sqlite3_str_appendall(sql, ")");
}

static void write_order(struct list *list, sqlite3_str *sql)
{
    char key[KEY_TEXT_SIZE];
    sqlite3_str_appendall(sql, " ORDER BY ");
    for (size_t i = 0; i < list->order->count; i++) {
        write_key(list, &list->order->keys[i], key);
        sqlite3_str_appendf(sql, "%s%s, ", key, list->order->keys[i].is_descending ? " DESC" : "");
    }
    sqlite3_str_appendf(sql, "%sk.ID", list->id_sign);
}

/* ---- the page ---- */

/* Appends the object of a statement's row, if the page takes it. */
static enum kj_status append_text(struct list *list, sqlite3_stmt *statement)
{
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    size_t len = (size_t)sqlite3_column_bytes(statement, 0);
    list->is_full = !kj__page_takes(list->query, list->page, len, &list->bytes);
    if (list->is_full) {
        return KJ_OK;
    }
    json_t *object = kj__sqlite_object(text, len);
    if (!object) {
        return kj__sqlite_status(list->match.connection, SQLITE_CORRUPT);
    }
    return json_array_append_new(list->page, object) ? KJ_ENOMEM : KJ_OK;
}

/* Appends the object of a row of keys. */
static enum kj_status append_object(struct list *list, int64_t number)
{
    bool has_row = false;
    sqlite3_stmt *statement;
    struct kj__sqlite_values values = {0};
    (void)kj__sqlite_add_integer(&values, number);
    enum kj_status status = kj__sqlite_start(list->match.connection,
                                             "SELECT object FROM objects WHERE number = ?1",
                                             &values, &statement);
    if (!status) {
        status = kj__sqlite_step(list->match.connection, statement, &has_row);
    }
    if (!status) {
        status = has_row ? append_text(list, statement)
                         : kj__sqlite_status(list->match.connection, SQLITE_CORRUPT);
    }
    kj__sqlite_release(list->match.connection, statement);
    kj__sqlite_values_fini(&values);
    return status;
}

/* Runs a text of sqlite3_str, which it frees, and appends the objects whose numbers it gives. */
static enum kj_status append_rows(struct list *list, char *sql)
{
    bool has_row = true;
    sqlite3_stmt *statement;
    enum kj_status status = kj__sqlite_start(list->match.connection, sql, &list->match.values,
                                             &statement);
    while (!status && has_row && !list->is_full) {
        status = kj__sqlite_step(list->match.connection, statement, &has_row);
        if (has_row) {
            status = append_object(list, sqlite3_column_int64(statement, 0));
        }
    }
    kj__sqlite_release(list->match.connection, statement);
    sqlite3_free(sql);
    return status;
}

static sqlite3_str *begin_select(const struct list *list, const char *what)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(
        sql, "SELECT %s FROM keys_%lld AS k%s%s WHERE %s", what, list->match.collection->number,
        list->index, list->match.is_exact ? "" : " CROSS JOIN objects AS o ON o.number = k.object",
        list->match.where);
    return sql;
}

/* SQLite counts in 64 bits with a sign. */
static int64_t bounded(size_t count)
{
    return count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

static enum kj_status read_page(struct list *list)
{
    const struct kj_store_query *query = list->query;
    sqlite3_str *sql = begin_select(list, "k.object");
    if (query->after && *query->after) {
        if (is_ascending(list->order)) {
            write_after_row(list, sql);
        } else {
            write_after_keys(list, sql);
        }
    }
    write_order(list, sql);
    int limit = kj__sqlite_add_integer(&list->match.values,
                                       query->limit ? bounded(query->limit) : -1);
    int offset = kj__sqlite_add_integer(&list->match.values, bounded(query->offset));
    sqlite3_str_appendf(sql, " LIMIT ?%d OFFSET ?%d", limit, offset);
    return append_rows(list, sqlite3_str_finish(sql));
}

/* ---- a descending page, one group of equals after another ---- */

static void drop_values(struct list *list)
{
    while (list->match.values.count > list->own_values) {
        struct kj__sqlite_value *value = &list->match.values.at[--list->match.values.count];
        if (value->type == KJ__SQLITE_KEY) {
            free(value->key);
        }
    }
}

static enum kj_status read_group(struct list *list, int64_t column, const unsigned char *key,
                                 size_t len, const char *after)
{
    unsigned char *copy = malloc(len);
    if (!copy) {
        return KJ_ENOMEM;
    }
    memcpy(copy, key, len);
    size_t left = list->query->limit - json_array_size(list->page);
    sqlite3_str *sql = begin_select(list, "k.object");
    int group = kj__sqlite_add_key_take(&list->match.values, copy, len);
    int id = kj__sqlite_add_text(&list->match.values, after, strlen(after));
    int limit = kj__sqlite_add_integer(&list->match.values, bounded(left));
    sqlite3_str_appendf(sql, " AND k.k%lld = ?%d AND k.ID > ?%d ORDER BY k.ID LIMIT ?%d", column,
                        group, id, limit);
    enum kj_status status = append_rows(list, sqlite3_str_finish(sql));
    drop_values(list);
    return status;
}

/* The greatest key below *key (NULL: of all), in its place; NULL when there is none. */
static enum kj_status next_group(struct list *list, int64_t column, unsigned char **key,
                                 size_t *len)
{
    sqlite3_stmt *statement;
    char what[KEY_TEXT_SIZE];
    bool has_row = false;
    (void)sqlite3_snprintf(sizeof what, what, "k.k%lld", column);
    sqlite3_str *select = begin_select(list, what);
    if (*key) {
        sqlite3_str_appendf(select, " AND k.k%lld < ?%d", column,
                            kj__sqlite_add_key_take(&list->match.values, *key, *len));
        *key = NULL;
    }
    sqlite3_str_appendf(select, " ORDER BY k.k%lld DESC LIMIT 1", column);
    char *sql = sqlite3_str_finish(select);
    enum kj_status status = kj__sqlite_start(list->match.connection, sql, &list->match.values,
                                             &statement);
    if (!status) {
        status = kj__sqlite_step(list->match.connection, statement, &has_row);
    }
    if (has_row) {
        *len = (size_t)sqlite3_column_bytes(statement, 0);
        *key = malloc(*len ? *len : 1);
        if (*key) {
            memcpy(*key, sqlite3_column_blob(statement, 0), *len);
        }
        status = *key ? status : KJ_ENOMEM;
    }
    kj__sqlite_release(list->match.connection, statement);
    sqlite3_free(sql);
    drop_values(list);
    return status;
}

static enum kj_status read_groups(struct list *list, int64_t column)
{
    unsigned char *key = NULL;
    size_t len = 0;
    enum kj_status status = KJ_OK;
    if (list->query->after && *list->query->after) {
        struct kj__order_value value;
        kj__order_value_read(&value, json_array_get(list->query->after_keys, 0),
                             list->order->keys[0].is_time);
        key = kj__sqlite_key_new(&value, &len);
        status = key ? read_group(list, column, key, len, list->query->after) : KJ_ENOMEM;
    }
    while (!status && !list->is_full && json_array_size(list->page) < list->query->limit) {
        status = next_group(list, column, &key, &len);
        if (status || !key) {
            break;
        }
        status = read_group(list, column, key, len, "");
    }
    free(key);
    return status;
}

/* ---- the way to the page ---- */

static bool is_walk_cheaper(const struct list *list)
{
    const struct kj_store_query *query = list->query;
    double wanted = query->limit ? (double)query->limit + (double)query->offset
                                 : (double)list->match.matches;
    return (double)list->match.matches * (double)list->match.matches >=
           wanted * (double)list->match.all;
}

static void use_index(struct list *list, const char *name, int64_t number)
{
    list->id_sign = "";
    (void)sqlite3_snprintf(sizeof list->index, list->index, " INDEXED BY %s_%lld", name, number);
}

/* By ID, an equality's index is in order already; so is a parent's. Of several comparisons another
 * one may leave less to sort. */
static void choose_for_ids(struct list *list)
{
    const struct kj_filter *filter = list->query->filter;
    bool is_walk = is_walk_cheaper(list);
    bool is_alone = filter && kj_filter_node_type(kj_filter_root(filter)) == KJ_FILTER_COMPARISON;
    if (list->match.equal && (is_alone || is_walk)) {
        use_index(list, "key", list->match.equal);
    } else if (!list->query->filter && list->match.parent) {
        use_index(list, "parent", list->match.collection->number);
    } else if (is_walk) {
        use_index(list, "id", list->match.collection->number);
    }
}

static enum kj_status find_page(struct list *list)
{
    const struct kj__order *order = list->order;
    const struct kj__sqlite_attribute *attribute =
        order->count ? kj__sqlite_attribute_of(list->match.collection, order->keys[0].name) : NULL;
    list->id_sign = "+";
    if (order->count == 0) {
        choose_for_ids(list);
    } else if (attribute && is_walk_cheaper(list)) {
        use_index(list, "key", attribute->number);
        if (order->count == 1 && order->keys[0].is_descending && list->query->limit &&
            list->query->offset == 0) {
            return read_groups(list, attribute->number);
        }
    }
    return read_page(list);
}

/* Asked by SQLite in the midst of its work. */
static int is_late(void *end_ms)
{
    return kj__sqlite_now_ms() > *(int64_t *)end_ms;
}

static enum kj_status list_in_transaction(struct list *list,
                                          struct kj__sqlite_connection *connection,
                                          const struct kj__sqlite_collection *collection,
                                          size_t *total)
{
    enum kj_status status = kj__sqlite_match_init(&list->match, connection, collection,
                                                  list->query);
    list->own_values = list->match.values.count;
    if (!status && list->page && list->match.matches > 0) {
        status = find_page(list);
    }
    if (total) {
        *total = (size_t)list->match.matches;
    }
    kj__sqlite_match_fini(&list->match);
    return status;
}

enum kj_status kj__sqlite_list(struct kj__sqlite_connection *connection,
                               const struct kj__sqlite_collection *collection,
                               const struct kj_identity *identity,
                               const struct kj_store_query *query, json_t *page, size_t *total)
{
    static const char *const by_id[] = {NULL};
    struct list list = {.query = query, .page = page};
    enum kj_status status = kj__order_new(identity, query->order ? query->order : by_id,
                                          &list.order);
    int64_t end_ms = kj__sqlite_now_ms() + query->time_limit_ms;
    if (query->time_limit_ms) {
        sqlite3_progress_handler(connection->db, STEPS_PER_LOOK, is_late, &end_ms);
    }
    if (!status) {
        status = kj__sqlite_run(connection, "BEGIN", NULL);
    }
    if (!status) {
        status = list_in_transaction(&list, connection, collection, total);
    }
    sqlite3_progress_handler(connection->db, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(connection->db)) {
        (void)sqlite3_exec(connection->db, "COMMIT", NULL, NULL, NULL);
    }
    free(list.order);
    return status;
}
