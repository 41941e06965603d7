/* serve_store.c - see serve_store.h. */
#include "serve_store.h"

#include "serve_needs.h"

#include <stdlib.h>
#include <string.h>

static const char scheme[] = "sqlite:";

enum { READERS_MAX = 64 };

void store_add_options(struct store_settings *settings, struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--store", OPTION_TEXT, &settings->where, "memory|sqlite:PATH",
                "where objects are kept; default memory")},
        {OPTION("--store-relaxed", OPTION_SWITCH, &settings->is_relaxed, NULL,
                "answer writes before the disk has them"),
         .needs = {WITH_STORE_FILE}},
        {OPTION("--store-busy-ms", OPTION_NUMBER, &settings->busy_ms, "MS",
                "to wait for another process that holds the file; default 2000"),
         .minimum = 1, .maximum = INT32_MAX, .needs = {WITH_STORE_FILE}},
        {OPTION("--store-readers", OPTION_NUMBER, &settings->readers, "N",
                "reads of the file at once; default 4"),
         .minimum = 1, .maximum = READERS_MAX, .needs = {WITH_STORE_FILE}},
        {OPTION("--store-cache-bytes", OPTION_NUMBER, &settings->cache_bytes, "BYTES",
                "of the file in memory; default 67108864"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {WITH_STORE_FILE}},
        {OPTION("--store-max-megabytes", OPTION_NUMBER, &settings->max_megabytes, "N",
                "of the file; default: as the disk has room"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {WITH_STORE_FILE}},
    };
    OPTIONS_ADD(table, "where objects are kept", rows);
}

int store_make(const char *command, const struct store_settings *settings,
               const struct kj_model *model, struct kj_store **store)
{
    struct kj_error error = {0};
    const char *where = settings->where;
    if (!where || strcmp(where, "memory") == 0) {
        return kj_store_memory_new(store)
                   ? options_fail(EXIT_FAILURE, command, "no memory for the store")
                   : 0;
    }
    if (strncmp(where, scheme, strlen(scheme)) != 0 || !where[strlen(scheme)]) {
        return options_fail(EXIT_USAGE, command,
                            "--store: \"%s\" is neither memory nor sqlite:PATH", where);
    }
    const struct kj_store_sqlite_options options = {
        .path = where + strlen(scheme),
        .model = model,
        .is_relaxed = settings->is_relaxed,
        .busy_timeout_ms = settings->busy_ms,
        .readers = settings->readers,
        .cache_bytes = settings->cache_bytes,
        .max_bytes = (uint64_t)settings->max_megabytes << 20,
    };
    enum kj_status status = kj_store_sqlite_new(&options, store, &error);
    return status ? options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command,
                                 "--store: %s", *error.text ? error.text : kj_status_text(status))
                  : 0;
}

struct kj_counter_source store_counters(struct kj_store *store)
{
    bool is_sqlite = store && strcmp(store->ops->name, "sqlite") == 0;
    return is_sqlite ? (struct kj_counter_source){kj_store_sqlite_counters, store}
                     : (struct kj_counter_source){0};
}
