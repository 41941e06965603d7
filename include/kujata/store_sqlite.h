/* store_sqlite.h - a storage in a SQLite file; docs/storage.md says what is kept where.
 *
 * A write is answered once it is on the disk: writes of several threads share one commit. Reads
 * see what was committed and never wait for writes.
 */
#ifndef KUJATA_STORE_SQLITE_H
#define KUJATA_STORE_SQLITE_H

#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/model.h>
#include <kujata/store.h>
#include <stdbool.h>
#include <stdint.h>

/* Zero is the default of every member but the first two. */
struct kj_store_sqlite_options {
    const char *path;             /* required; the file is made where there is none */
    const struct kj_model *model; /* required; outlives the store */
    bool is_relaxed;              /* an answered write survives the process, not a loss of power */
    uint32_t busy_timeout_ms;     /* to wait for another process that holds the file; 0: 2,000 */
    uint32_t readers;             /* connections that read at once, 1 to 64; 0: 4 */
    uint32_t cache_bytes;         /* of all connections together; 0: 64 MiB */
    uint64_t max_bytes;           /* of the file; 0: as the disk has room */
};

/* Opens the file, brings its schema up to date, and makes the indexes that the model's attributes
 * call for and it lacks. KJ_EINVAL for an option, KJ_EUNSUPPORTED for a file of a later version,
 * KJ_EPARSE for one that is no storage, KJ_ETIMEOUT, KJ_EFULL or KJ_EIO where the medium fails,
 * with `error` naming the file; KJ_ENOMEM. */
enum kj_status kj_store_sqlite_new(const struct kj_store_sqlite_options *options,
                                   struct kj_store **store, struct kj_error *error);

/* What such a store counts; a kj_counter_source's function, its ctx the store. [any thread] */
void kj_store_sqlite_counters(void *store, kj_counter_visit visit, void *ctx);

#endif
