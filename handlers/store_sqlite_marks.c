/* store_sqlite_marks.c - see store_sqlite_marks.h. */
#include "handlers/store_sqlite_marks.h"

#include "handlers/store_sqlite_filter.h"

#include <stdlib.h>
#include <string.h>

enum {
    OBJECTS_MIN = 5000,   /* with fewer any way will do */
    NUMBER_MAX = 1 << 25, /* 4 MiB of marks, twice */
    PARTS_MAX = 8,        /* of the filter */
    SAMPLES = 64,         /* objects that are looked at to tell how many a part leaves */
    ROW_COST = 5,         /* of looking at a row, in steps along an index */
    WORD_BITS = 64,
};

/* One part of the filter as a condition of its own. */
struct part {
    char *where;
    struct kj__sqlite_values values;
};

/* ---- the aggregate ---- */

static void mark(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct kj__sqlite_marks *marks = sqlite3_user_data(context);
    uint64_t number = (uint64_t)sqlite3_value_int64(values[0]);
    size_t word = number / WORD_BITS;
    uint64_t bit = UINT64_C(1) << number % WORD_BITS;
    if (word < marks->size && (!marks->before || marks->before[word] & bit)) {
        marks->now[word] |= bit;
    }
}

static void finish(sqlite3_context *context)
{
    const struct kj__sqlite_marks *marks = sqlite3_user_data(context);
    int64_t count = 0;
    for (size_t i = 0; i < marks->size; i++) {
        count += __builtin_popcountll(marks->now[i]);
    }
    sqlite3_result_int64(context, count);
}

int kj__sqlite_add_marks(sqlite3 *db, struct kj__sqlite_marks *marks)
{
    return sqlite3_create_function_v2(db, "kj_mark", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, marks,
                                      NULL, mark, finish, NULL);
}

/* ---- parts ---- */

static void free_parts(struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_free(parts[i].where);
        kj__sqlite_values_fini(&parts[i].values);
    }
}

/* Each comparison of the `and`; none when there are too many, or fewer than two. */
static enum kj_status split(struct kj__sqlite_match *match, struct part parts[PARTS_MAX],
                            size_t *count)
{
    const struct kj_filter_node *root = kj_filter_root(match->query->filter);
    enum kj_status status = KJ_OK;
    size_t wanted = 0;
    for (const struct kj_filter_node *node = kj_filter_node_first(root); node;
         node = kj_filter_node_next(node)) {
        wanted++;
    }
    if (kj_filter_node_type(root) != KJ_FILTER_AND || wanted < 2 || wanted > PARTS_MAX) {
        return KJ_OK;
    }
    for (const struct kj_filter_node *node = kj_filter_node_first(root); node && !status;
         node = kj_filter_node_next(node)) {
        struct part *part = &parts[(*count)++];
        sqlite3_str *where = sqlite3_str_new(NULL);
        struct kj__sqlite_condition condition = {
            .sql = where, .values = &part->values, .part = node};
        if (match->parent) {
            sqlite3_str_appendf(where, "+k.parent = ?%d AND ",
                                kj__sqlite_add_integer(&part->values, match->parent));
        }
        status = kj__sqlite_translate(match->connection, match->collection, match->query->filter,
                                      &condition);
        part->where = sqlite3_str_finish(where);
        status = status || part->where ? status : KJ_ENOMEM;
    }
    return status;
}

/* About how many objects a part leaves, from some that lie evenly among all. */
static enum kj_status estimate(struct kj__sqlite_match *match, struct part *part, int64_t last,
                               int64_t *left)
{
    int64_t number = match->collection->number;
    size_t own = part->values.count;
    int step = kj__sqlite_add_integer(&part->values, last / SAMPLES + 1);
    char *sql = sqlite3_mprintf(
        "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + ?%d FROM s LIMIT %d)"
        " SELECT count(*) FROM s CROSS JOIN keys_%lld AS k ON k.object ="
        " (SELECT object FROM keys_%lld WHERE object >= s.n ORDER BY object LIMIT 1) WHERE %s",
        step, SAMPLES, number, number, part->where);
    enum kj_status status = kj__sqlite_ask(match->connection, sql, &part->values, left, NULL);
    *left = *left * match->all / SAMPLES;
    sqlite3_free(sql);
    part->values.count = own; /* what was added owns nothing */
    return status;
}

/* Whether going along the index of each part takes fewer steps than looking at the rows of one. */
static enum kj_status choose(struct kj__sqlite_match *match, struct part *parts, size_t count,
                             int64_t last, bool *is_better)
{
    int64_t sum = 0;
    int64_t least = match->all;
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count && !status; i++) {
        int64_t left = 0;
        status = estimate(match, &parts[i], last, &left);
        sum += left;
        least = left < least ? left : least;
    }
    *is_better = !status && sum < ROW_COST * least;
    return status;
}

/* ---- counting ---- */

/* What a part finds among the marks of the one before is marked in the other half of `words`. */
static enum kj_status mark_all(struct kj__sqlite_match *match, struct part *parts, size_t count,
                               uint64_t *words)
{
    struct kj__sqlite_marks *marks = &match->connection->marks;
    uint64_t *const halves[] = {words, words + marks->size};
    enum kj_status status = KJ_OK;
    for (size_t i = 0; i < count && !status; i++) {
        marks->before = i ? halves[(i - 1) % 2] : NULL;
        marks->now = halves[i % 2];
        memset(marks->now, 0, marks->size * sizeof *marks->now);
        char *sql = sqlite3_mprintf("SELECT kj_mark(k.object) FROM keys_%lld AS k WHERE %s",
                                    match->collection->number, parts[i].where);
        status = kj__sqlite_ask(match->connection, sql, &parts[i].values, &match->matches, NULL);
        sqlite3_free(sql);
    }
    return status;
}

static enum kj_status count_parts(struct kj__sqlite_match *match, struct part *parts, size_t count,
                                  int64_t last)
{
    size_t size = (size_t)last / WORD_BITS + 1;
    uint64_t *words = malloc(2 * size * sizeof *words);
    if (!words) {
        return KJ_ENOMEM;
    }
    match->connection->marks.size = size;
    enum kj_status status = mark_all(match, parts, count, words);
    match->connection->marks = (struct kj__sqlite_marks){0};
    free(words);
    return status;
}

enum kj_status kj__sqlite_count_marked(struct kj__sqlite_match *match, bool *is_done)
{
    struct part parts[PARTS_MAX] = {0};
    size_t count = 0;
    int64_t last = 0;
    *is_done = false;
    if (match->all < OBJECTS_MIN) {
        return KJ_OK;
    }
    enum kj_status status = split(match, parts, &count);
    if (!status && count) {
        char *sql = sqlite3_mprintf("SELECT max(object) FROM keys_%lld", match->collection->number);
        status = kj__sqlite_ask(match->connection, sql, NULL, &last, NULL);
        sqlite3_free(sql);
    }
    bool is_better = false;
    if (!status && last > 0 && last < NUMBER_MAX) {
        status = choose(match, parts, count, last, &is_better);
    }
    if (!status && is_better) {
        status = count_parts(match, parts, count, last);
        *is_done = !status;
    }
    free_parts(parts, count);
    return status;
}
