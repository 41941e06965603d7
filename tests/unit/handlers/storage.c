/* storage.c - see storage.h. */
#include "unit/handlers/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[256];
static char path[sizeof directory + 16];

const char *storage_path(void)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(directory, sizeof directory, "%s/kujata-store-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(directory)) {
        perror(directory);
        abort();
    }
    (void)snprintf(path, sizeof path, "%s/store.db", directory);
    return path;
}

void storage_remove(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[sizeof path + 16];
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    (void)rmdir(directory);
}

#ifdef STORAGE_SQLITE
enum kj_status storage_open(const struct kj_model *model, struct kj_store **store)
{
    struct kj_error error = {0};
    /* No test cuts the power, and waiting for a disk takes long. */
    struct kj_store_sqlite_options options = {
        .path = storage_path(), .model = model, .is_relaxed = true};
    enum kj_status status = kj_store_sqlite_new(&options, store, &error);
    if (status) {
        (void)fprintf(stderr, "%s\n", error.text);
    }
    return status;
}

void storage_close(struct kj_store *store)
{
    kj_store_free(store);
    storage_remove();
}
#else
enum kj_status storage_open(const struct kj_model *model, struct kj_store **store)
{
    (void)model;
    return kj_store_memory_new(store);
}

void storage_close(struct kj_store *store)
{
    kj_store_free(store);
}
#endif
