/* store.c - what storage in SQLite costs: writes of one and of many, pages and counts of many
 * objects. Compiled and run by bench/store.
 *
 *     store DIRECTORY OBJECTS SECONDS
 */
#include <inttypes.h>
#include <kujata/kujata.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 32, ROUNDS = 3, PAGES = 200, COUNTS = 5, PAGE_SIZE = 100, PATH_MAX_LEN = 512 };

/* An identity whose attributes are indexed or not: `title`, which is another in each object, and
 * four that are the same in many. */
#define IDENTITY(NAME, TITLE_INDEXED, OTHERS_INDEXED)                                              \
    "{\"name\": \"" NAME "\", \"category\": \"" NAME "s\", \"attributes\": ["                      \
    "{\"name\": \"title\", \"indexed\": " TITLE_INDEXED "},"                                       \
    "{\"name\": \"number\", \"type\": \"integer\", \"indexed\": " OTHERS_INDEXED "},"              \
    "{\"name\": \"priority\", \"type\": \"integer\", \"indexed\": " OTHERS_INDEXED "},"            \
    "{\"name\": \"done\", \"type\": \"boolean\", \"indexed\": " OTHERS_INDEXED "},"                \
    "{\"name\": \"due\", \"type\": \"time\", \"indexed\": " OTHERS_INDEXED "},"                    \
    "{\"name\": \"note\", \"indexed\": false}]}"

static const char model_text[] = "{\"identities\": [" IDENTITY(
    "note", "false", "false") "," IDENTITY("letter", "true", "false") "," IDENTITY("task", "true",
                                                                                   "true") "]}";

static struct kj_model *model;
static const struct kj_identity *task;
static struct kj_store *store;
static _Atomic size_t made;

static void check(enum kj_status status, const char *what, const struct kj_error *error)
{
    if (status) {
        (void)fprintf(stderr, "store: %s: %s\n", what,
                      error && *error->text ? error->text : kj_status_text(status));
        exit(EXIT_FAILURE);
    }
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void open_store(const char *directory, const char *name)
{
    char path[PATH_MAX_LEN];
    struct kj_error error = {0};
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    struct kj_store_sqlite_options options = {.path = path, .model = model};
    check(kj_store_sqlite_new(&options, &store, &error), "opening", &error);
}

static void insert_one(const struct kj_identity *identity, size_t number)
{
    char id[KJ_OBJECT_ID_SIZE];
    char title[32];
    char due[64];
    kj_object_id_make(id);
    (void)snprintf(title, sizeof title, "task %zu", number * 2654435761U % 1000003);
    (void)snprintf(due, sizeof due, "20%02zu-%02zu-%02zuT%02zu:00:00Z", number % 50,
                   1 + number % 12, 1 + number % 28, number % 24);
    json_t *object = json_pack(
        "{s:s,s:s,s:s,s:s,s:I,s:i,s:b,s:s,s:s}", "ID", id, "parentType", "list", "parentID",
        number % 10 ? "large" : "small", "title", title, "number", (json_int_t)number, "priority",
        (int)(number * 7 % 5), "done", number % 100 == 0, "due", due, "note",
        "a text that is longer than the others, as the notes of people are, and has no index");
    check(store->ops->insert(store, identity, object), "inserting", NULL);
    json_decref(object);
}

/* ---- writes ---- */

struct writing {
    const struct kj_identity *identity;
    double until_s;
    size_t limit;
};

static void *write_on(void *arg)
{
    const struct writing *writing = arg;
    while (now_s() < writing->until_s) {
        size_t number = atomic_fetch_add(&made, 1);
        if (number >= writing->limit) {
            break;
        }
        insert_one(writing->identity, number);
    }
    return NULL;
}

/* How many were written a second: the last of each thread ends later than it was told to. */
static double write_with(size_t threads, struct writing writing)
{
    pthread_t writers[WRITERS];
    size_t before = atomic_load(&made);
    double start_s = now_s();
    for (size_t i = 0; i < threads; i++) {
        pthread_create(&writers[i], NULL, write_on, &writing);
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(writers[i], NULL);
    }
    return (double)(atomic_load(&made) - before) / (now_s() - start_s);
}

static void measure_writes(const char *directory, const char *name, const char *indexes,
                           double seconds)
{
    const struct kj_identity *identity = kj_model_identity(model, name);
    char file[32];
    (void)snprintf(file, sizeof file, "%ss.db", name);
    open_store(directory, file);
    for (int round = 0; round < ROUNDS; round++) {
        double one = write_with(1, (struct writing){identity, now_s() + seconds, SIZE_MAX});
        double many = write_with(WRITERS, (struct writing){identity, now_s() + seconds, SIZE_MAX});
        printf("writes a second, %s: one writer %.0f, %d writers %.0f, ratio %.1f\n", indexes, one,
               WRITERS, many, many / one);
    }
    kj_store_free(store);
}

/* ---- reads ---- */

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_times(const char *what, double *times, size_t count, size_t total)
{
    if (count == 0) {
        printf("%-44s no page, of %zu\n", what, total);
        return;
    }
    qsort(times, count, sizeof *times, compare_doubles);
    printf("%-44s median %8.3f ms, worst %8.3f ms, of %zu\n", what, times[count / 2] * 1e3,
           times[count - 1] * 1e3, total);
}

/* The next page behind the last object of this one. */
static void follow(const char *const *order, const json_t *page, struct kj_store_query *query,
                   char id[KJ_OBJECT_ID_SIZE], json_t *keys)
{
    const json_t *last = json_array_get(page, json_array_size(page) - 1);
    (void)snprintf(id, KJ_OBJECT_ID_SIZE, "%s", json_string_value(json_object_get(last, "ID")));
    json_array_clear(keys);
    for (size_t i = 0; order[i]; i++) {
        json_array_append(keys, json_object_get(last, order[i] + (order[i][0] == '-')));
    }
    query->after = id;
    query->after_keys = keys;
}

/* Pages one after another, from `depth` objects on. */
static void measure_pages(const char *what, const char *const *order, struct kj_store_query query,
                          size_t depth)
{
    double times[PAGES];
    size_t count = 0;
    size_t total = 0;
    char id[KJ_OBJECT_ID_SIZE];
    json_t *keys = json_array();
    json_t *page;
    query.order = order;
    query.limit = 1;
    query.offset = depth;
    check(store->ops->list(store, task, &query, &page, &total), what, NULL);
    query.limit = PAGE_SIZE;
    query.offset = 0;
    while (json_array_size(page) && count < PAGES) {
        follow(order, page, &query, id, keys);
        json_decref(page);
        double start_s = now_s();
        check(store->ops->list(store, task, &query, &page, &total), what, NULL);
        times[count++] = now_s() - start_s;
    }
    print_times(what, times, count, total);
    json_decref(page);
    json_decref(keys);
}

static void measure_count(const char *text, const char *parent)
{
    double times[COUNTS];
    size_t total = 0;
    struct kj_filter *filter;
    struct kj_error error = {0};
    check(kj_filter_parse(text, &filter, &error), text, &error);
    struct kj_store_query query = {.filter = filter};
    if (parent) {
        query.parent_type = "list";
        query.parent_id = parent;
    }
    for (size_t i = 0; i < COUNTS; i++) {
        insert_one(task, atomic_fetch_add(&made, 1)); /* or the total would be known */
        double start_s = now_s();
        check(store->ops->list(store, task, &query, NULL, &total), text, NULL);
        times[i] = now_s() - start_s;
    }
    char what[128];
    (void)snprintf(what, sizeof what, "%s%s%s", text, parent ? " in " : "", parent ? parent : "");
    print_times(what, times, COUNTS, total);
    kj_filter_unref(filter);
}

static long resident_mb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) {
        pages = 0;
    }
    if (file) {
        (void)fclose(file);
    }
    return pages * sysconf(_SC_PAGESIZE) >> 20;
}

static void measure_reads(const char *directory, size_t objects)
{
    static const char *const by_id[] = {NULL};
    static const char *const by_title[] = {"title", NULL};
    static const char *const down_priority[] = {"-priority", NULL};
    static const char *const down_due[] = {"-due", NULL};
    const struct kj_store_query any = {0};
    const struct kj_store_query child = {.parent_type = "list", .parent_id = "large"};
    struct kj_filter *filter;
    double start_s = now_s();
    open_store(directory, "reads.db");
    size_t there = 0;
    check(store->ops->list(store, task, &any, NULL, &there), "counting", NULL);
    printf("opened in %.1f s\n", now_s() - start_s);
    atomic_store(&made, there);
    start_s = now_s();
    (void)write_with(WRITERS, (struct writing){task, now_s() + 1e9, objects});
    printf("%zu objects, of which %zu were written in %.0f s; %ld MB of memory\n", objects,
           objects - there, now_s() - start_s, resident_mb());
    size_t deep = objects * 8 / 10;
    measure_pages("pages by ID", by_id, any, 0);
    measure_pages("pages by ID, deep", by_id, any, deep);
    measure_pages("pages of a parent, deep", by_id, child, deep);
    measure_pages("pages by title, deep", by_title, any, deep);
    measure_pages("pages of a parent by title, deep", by_title, child, deep);
    measure_pages("pages by -priority, deep", down_priority, any, deep);
    measure_pages("pages of a parent by -priority, deep", down_priority, child, deep);
    measure_pages("pages by -due, deep", down_due, any, deep);
    check(kj_filter_parse("done == true", &filter, NULL), "filter", NULL);
    measure_pages("pages of done == true", by_id, (struct kj_store_query){.filter = filter},
                  objects / 200);
    kj_filter_unref(filter);
    measure_count("done == true", NULL);
    measure_count("priority == 3", NULL);
    measure_count("priority == 3", "large");
    measure_count("priority >= 3", NULL);
    measure_count("priority != 3", NULL);
    measure_count("title == \"task 77\"", NULL);
    measure_count("title >= \"task 9\"", NULL);
    measure_count("due > date(2040-01-01)", NULL);
    measure_count("done == true and priority >= 3", NULL);
    measure_count("priority == 3 and number < 500000", NULL);
    measure_count("title matches \"^task 77$\" and done == true", NULL);
    measure_count("title matches \"^task 77$\"", NULL);
    printf("%ld MB of memory\n", resident_mb());
    kj_store_free(store);
}

int main(int argc, char **argv)
{
    struct kj_error error = {0};
    if (argc != 4) {
        (void)fprintf(stderr, "usage: store DIRECTORY OBJECTS SECONDS\n");
        return 2;
    }
    check(kj_model_parse(model_text, strlen(model_text), "model", &model, &error), "model", &error);
    task = kj_model_identity(model, "task");
    setvbuf(stdout, NULL, _IOLBF, 0);
    double seconds = strtod(argv[3], NULL);
    measure_writes(argv[1], "note", "no attribute indexed", seconds);
    measure_writes(argv[1], "letter", "one indexed", seconds);
    measure_writes(argv[1], "task", "five indexed", seconds);
    size_t objects = strtoul(argv[2], NULL, 10);
    if (objects) {
        measure_reads(argv[1], objects);
    }
    kj_model_free(model);
    return 0;
}
