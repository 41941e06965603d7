/* store_sqlite.c - objects in a SQLite file, for kujata/store_sqlite.h.
 *
 * Each object is a row of `objects`, as JSON text, and a row of its identity's keys, which the
 * indexes are made of. One thread writes (store_sqlite_writer.h); readers take a connection from a
 * pool. An update reads, edits without a lock, and writes if the revision is still the one it
 * read; else it starts again.
 */
#include "handlers/store_sqlite_key.h"
#include "handlers/store_sqlite_list.h"
#include "handlers/store_sqlite_object.h"
#include "handlers/store_sqlite_pool.h"
#include "handlers/store_sqlite_writer.h"

#include <stdlib.h>
#include <string.h>

enum { READERS_DEFAULT = 4 };

struct sqlite_store {
    struct kj_store store;
    char *path;
    struct kj__sqlite_numbers numbers;
    struct kj__sqlite_totals totals;
    struct kj__sqlite_schema schema;
    struct kj__sqlite_connection *write_connection, *copy_connection;
    struct kj__sqlite_writer writer;
    struct kj__sqlite_pool readers;
};

static enum kj_status read_object(struct kj_store *self, const struct kj_identity *identity,
                                  const char *id, json_t **object, int64_t *revision)
{
    struct sqlite_store *store = (struct sqlite_store *)self;
    struct kj__sqlite_place place = {0};
    struct kj__sqlite_form form = {.collection = kj__sqlite_collection_of(&store->schema, identity),
                                   .id = id};
    *object = NULL;
    if (!form.collection) {
        return KJ_EINVAL;
    }
    struct kj__sqlite_connection *reader = kj__sqlite_pool_take(&store->readers);
    enum kj_status status = kj__sqlite_read_place(reader, &form, true, &place);
    if (!status) {
        *object = kj__sqlite_object(place.text, place.len);
        *revision = place.revision;
        status = *object ? KJ_OK : kj__sqlite_status(reader, SQLITE_CORRUPT);
    }
    kj__sqlite_pool_give(&store->readers, reader);
    free(place.text);
    return status;
}

/* ---- operations ---- */

static enum kj_status sqlite_insert(struct kj_store *self, const struct kj_identity *identity,
                                    const json_t *object)
{
    struct sqlite_store *store = (struct sqlite_store *)self;
    struct kj__sqlite_form form;
    enum kj_status status = kj__sqlite_form_init(
        &form, kj__sqlite_collection_of(&store->schema, identity), object);
    if (!status) {
        status = kj__sqlite_write(&store->writer, kj__sqlite_run_insert, &form);
    }
    kj__sqlite_form_fini(&form);
    return status;
}

static enum kj_status sqlite_get(struct kj_store *self, const struct kj_identity *identity,
                                 const char *id, json_t **object)
{
    int64_t revision;
    return read_object(self, identity, id, object, &revision);
}

/* Puts `edited` in place of the form of that revision; *is_stale when there is another by now. */
static enum kj_status put_back(struct kj_store *self, const struct kj_identity *identity,
                               const char *id, const json_t *edited, int64_t revision,
                               bool *is_stale)
{
    struct sqlite_store *store = (struct sqlite_store *)self;
    struct kj__sqlite_form form;
    enum kj_status status = kj__sqlite_form_init(
        &form, kj__sqlite_collection_of(&store->schema, identity), edited);
    if (!status && strcmp(form.id, id) != 0) {
        status = KJ_EINVAL;
    }
    form.revision = revision;
    if (!status) {
        status = kj__sqlite_write(&store->writer, kj__sqlite_run_update, &form);
    }
    *is_stale = form.is_stale;
    kj__sqlite_form_fini(&form);
    return status;
}

static enum kj_status sqlite_update(struct kj_store *self, const struct kj_identity *identity,
                                    const char *id, kj_store_edit edit, void *ctx, json_t **object)
{
    bool is_stale = true;
    *object = NULL;
    while (is_stale) {
        int64_t revision;
        json_t *edited;
        enum kj_status status = read_object(self, identity, id, &edited, &revision);
        if (!status) {
            status = edit(edited, ctx);
        }
        if (!status) {
            status = put_back(self, identity, id, edited, revision, &is_stale);
        }
        if (status || is_stale) {
            json_decref(edited);
        } else {
            *object = edited;
        }
        if (status) {
            return status;
        }
    }
    return KJ_OK;
}

static enum kj_status sqlite_remove(struct kj_store *self, const struct kj_identity *identity,
                                    const char *id, json_t **object)
{
    struct sqlite_store *store = (struct sqlite_store *)self;
    struct kj__sqlite_form form = {.collection = kj__sqlite_collection_of(&store->schema, identity),
                                   .id = id};
    *object = NULL;
    if (!form.collection) {
        return KJ_EINVAL;
    }
    enum kj_status status = kj__sqlite_write(&store->writer, kj__sqlite_run_remove, &form);
    if (!status) {
        *object = kj__sqlite_object(form.text, strlen(form.text));
        status = *object ? KJ_OK : KJ_EIO;
    }
    kj__sqlite_form_fini(&form);
    return status;
}

/* Who waits for the lists of others waits no longer than a list may take. */
static enum kj_status list_on_reader(struct sqlite_store *store,
                                     const struct kj__sqlite_collection *collection,
                                     const struct kj_identity *identity,
                                     const struct kj_store_query *query, json_t *page,
                                     size_t *total)
{
    struct kj__sqlite_connection *reader = kj__sqlite_pool_take_long(&store->readers,
                                                                     query->time_limit_ms);
    if (!reader) {
        kj__sqlite_count_crowded(&store->numbers, store->path);
        return KJ_ETIMEOUT;
    }
    enum kj_status status = kj__sqlite_list(reader, collection, identity, query, page, total);
    kj__sqlite_pool_give_long(&store->readers, reader);
    return status;
}

static enum kj_status sqlite_list(struct kj_store *self, const struct kj_identity *identity,
                                  const struct kj_store_query *query, json_t **objects,
                                  size_t *total)
{
    struct sqlite_store *store = (struct sqlite_store *)self;
    const struct kj__sqlite_collection *collection = kj__sqlite_collection_of(&store->schema,
                                                                              identity);
    json_t *page = objects ? json_array() : NULL;
    enum kj_status status = collection ? KJ_OK : KJ_EINVAL;
    if (objects && !page) {
        status = KJ_ENOMEM;
    }
    if (!status) {
        status = list_on_reader(store, collection, identity, query, page, total);
    }
    if (status) {
        json_decref(page);
        page = NULL;
    }
    if (objects) {
        *objects = page;
    }
    return status;
}

/* ---- making and releasing ---- */

static void free_parts(struct sqlite_store *store)
{
    kj__sqlite_pool_fini(&store->readers);
    kj__sqlite_close(store->copy_connection);
    kj__sqlite_close(store->write_connection); /* the last one empties the log into the file */
    kj__sqlite_totals_fini(&store->totals);
    kj__sqlite_schema_fini(&store->schema);
    free(store->path);
    free(store);
}

static void sqlite_free(struct kj_store *self)
{
    struct sqlite_store *store = (struct sqlite_store *)self;
    kj__sqlite_writer_fini(&store->writer);
    free_parts(store);
}

static const struct kj_store_ops sqlite_ops = {
    .name = "sqlite",
    .insert = sqlite_insert,
    .get = sqlite_get,
    .update = sqlite_update,
    .remove = sqlite_remove,
    .list = sqlite_list,
    .free = sqlite_free,
};

static enum kj_status check_options(const struct kj_store_sqlite_options *options,
                                    struct kj_error *error)
{
    if (options->path && options->model) {
        return kj__sqlite_check_options(options, error);
    }
    kj_error_set(error, 0, options->path ? "model is missing" : "path is not the path of a file");
    return KJ_EINVAL;
}

/* The schema first: readers keep what they know of it. */
static enum kj_status open_connections(struct sqlite_store *store,
                                       const struct kj_store_sqlite_options *options,
                                       struct kj_error *error)
{
    kj__sqlite_make_file(options->path);
    enum kj_status status = kj__sqlite_open(options, &store->numbers, &store->write_connection,
                                            error);
    if (!status) {
        status = kj__sqlite_schema_init(&store->schema, store->write_connection, options->model,
                                        error);
    }
    if (!status) {
        status = kj__sqlite_open(options, &store->numbers, &store->copy_connection, error);
    }
    return status ? status
                  : kj__sqlite_pool_open(&store->readers, options, &store->numbers, &store->totals,
                                         error);
}

enum kj_status kj_store_sqlite_new(const struct kj_store_sqlite_options *options,
                                   struct kj_store **store, struct kj_error *error)
{
    *store = NULL;
    enum kj_status status = check_options(options, error);
    if (status) {
        return status;
    }
    struct sqlite_store *made = calloc(1, sizeof *made);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->store.ops = &sqlite_ops;
    kj__sqlite_totals_init(&made->totals);
    kj__sqlite_pool_init(&made->readers);
    made->path = strdup(options->path);
    struct kj_store_sqlite_options own = *options;
    own.path = made->path;
    own.readers = options->readers ? options->readers : READERS_DEFAULT;
    status = made->path ? open_connections(made, &own, error) : KJ_ENOMEM;
    if (!status) {
        status = kj__sqlite_writer_init(&made->writer, made->write_connection,
                                        made->copy_connection);
    }
    if (status) {
        free_parts(made);
        return status;
    }
    *store = &made->store;
    return KJ_OK;
}

void kj_store_sqlite_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    struct sqlite_store *store = ctx;
    const struct {
        const char *name, *help;
        uint64_t value;
    } all[] = {
        {"store_writes_total", "Writes that were committed.", atomic_load(&store->numbers.writes)},
        {"store_commits_total", "Commits, each of one write or more.",
         atomic_load(&store->numbers.commits)},
        {"store_busy_total", "Times another process held the file for too long.",
         atomic_load(&store->numbers.busy)},
        {"store_full_total", "Times the file had no room.", atomic_load(&store->numbers.full)},
        {"store_failed_total", "Times the file could not be read or written, or is damaged.",
         atomic_load(&store->numbers.failed)},
        {"store_crowded_total", "Lists given up since others had every reader for too long.",
         atomic_load(&store->numbers.crowded)},
        {"store_unindexed_lists_total", "Lists whose filter no index answers.",
         atomic_load(&store->numbers.unindexed)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        visit(all[i].name, all[i].help, all[i].value, visit_ctx);
    }
}
