/* store_sqlite_log.c - see store_sqlite_log.h.
 *
 * Only the log's file is wrapped; all others are opened by the default file system as ever.
 */
#include "handlers/store_sqlite_log.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Larger than a page may be; the default file system writes less than 128 KiB at a time. */
enum { PENDING_MAX = 127 << 10 };

#define NAME "kujata-log"

struct log_file {
    sqlite3_file base;
    unsigned char *pending; /* malloc'd: what was written last, in one piece */
    size_t len;
    sqlite3_int64 offset; /* in the file, of what is pending */
    sqlite3_int64 lost;   /* of the first piece of the transaction that could not be written */
    uint64_t under[];     /* the sqlite3_file of the default file system; aligned as SQLite does */
};

#define NOTHING_LOST INT64_MAX

static sqlite3_vfs vfs;
static sqlite3_vfs *under_vfs;

static sqlite3_file *under_of(sqlite3_file *file)
{
    return (sqlite3_file *)((struct log_file *)file)->under;
}

/* What cannot be written is given up, and with it the transaction: its sync fails. */
static int flush(sqlite3_file *file)
{
    struct log_file *log = (struct log_file *)file;
    sqlite3_file *under = under_of(file);
    if (log->len == 0) {
        return SQLITE_OK;
    }
    int result = under->pMethods->xWrite(under, log->pending, (int)log->len, log->offset);
    log->len = 0;
    if (result && log->offset < log->lost) {
        log->lost = log->offset;
    }
    return result;
}

static int log_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    struct log_file *log = (struct log_file *)file;
    size_t len = (size_t)size;
    int result = SQLITE_OK;
    if (log->len &&
        (offset != log->offset + (sqlite3_int64)log->len || len > PENDING_MAX - log->len)) {
        result = flush(file);
    }
    if (result) {
        return result;
    }
    if (log->len == 0) {
        log->offset = offset;
    }
    memcpy(log->pending + log->len, bytes, len);
    log->len += len;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    const struct log_file *log = (const struct log_file *)file;
    sqlite3_file *under = under_of(file);
    sqlite3_int64 end = offset + size;
    int result = SQLITE_OK;
    if (end > log->offset && offset < log->offset + (sqlite3_int64)log->len) {
        result = flush(file);
    }
    if (!result && end > log->lost) {
        result = SQLITE_IOERR_READ;
    }
    return result ? result : under->pMethods->xRead(under, bytes, size, offset);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *under = under_of(file);
    int result = flush(file);
    return result ? result : under->pMethods->xTruncate(under, size);
}

static int log_sync(sqlite3_file *file, int flags)
{
    const struct log_file *log = (const struct log_file *)file;
    sqlite3_file *under = under_of(file);
    int result = flush(file);
    if (!result && log->lost != NOTHING_LOST) {
        result = SQLITE_IOERR_WRITE;
    }
    return result ? result : under->pMethods->xSync(under, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *under = under_of(file);
    int result = flush(file);
    return result ? result : under->pMethods->xFileSize(under, size);
}

/* What was committed is written; what is pending no longer counts. */
static int log_close(sqlite3_file *file)
{
    sqlite3_file *under = under_of(file);
    int result = under->pMethods->xClose(under);
    free(((struct log_file *)file)->pending);
    return result;
}

static int log_lock(sqlite3_file *file, int level)
{
    return under_of(file)->pMethods->xLock(under_of(file), level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    return under_of(file)->pMethods->xUnlock(under_of(file), level);
}

static int log_is_reserved(sqlite3_file *file, int *is_reserved)
{
    return under_of(file)->pMethods->xCheckReservedLock(under_of(file), is_reserved);
}

static int log_control(sqlite3_file *file, int operation, void *arg)
{
    return under_of(file)->pMethods->xFileControl(under_of(file), operation, arg);
}

static int log_sector_size(sqlite3_file *file)
{
    return under_of(file)->pMethods->xSectorSize(under_of(file));
}

static int log_characteristics(sqlite3_file *file)
{
    return under_of(file)->pMethods->xDeviceCharacteristics(under_of(file));
}

/* Locks in memory and mapped pages, of later versions, are the database's alone. */
static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_is_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    (void)self;
    if (!(flags & SQLITE_OPEN_WAL)) {
        return under_vfs->xOpen(under_vfs, name, file, flags, flags_out);
    }
    struct log_file *log = (struct log_file *)file;
    *log = (struct log_file){.pending = malloc(PENDING_MAX), .lost = NOTHING_LOST};
    if (!log->pending) {
        return SQLITE_NOMEM;
    }
    int result = under_vfs->xOpen(under_vfs, name, under_of(file), flags, flags_out);
    if (result) {
        free(log->pending);
    } else {
        log->base.pMethods = &log_methods;
    }
    return result;
}

/* Counting every piece of memory under one lock costs a writer a tenth of its time. That cannot be
 * set any more when something else in the process uses SQLite already, which is as well. */
static void register_vfs(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    under_vfs = sqlite3_vfs_find(NULL);
    if (under_vfs) {
        vfs = *under_vfs;
        vfs.zName = NAME;
        vfs.pNext = NULL;
        vfs.szOsFile += (int)sizeof(struct log_file);
        vfs.xOpen = open_file;
        (void)sqlite3_vfs_register(&vfs, 0);
    }
}

const char *kj__sqlite_log_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_vfs);
    return sqlite3_vfs_find(NAME) ? NAME : NULL;
}

/* The lock of the transaction is given up by now: where it wrote, another process may. */
static void forget(void *db)
{
    sqlite3_file *file = NULL;
    if (!sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) && file &&
        file->pMethods == &log_methods) {
        struct log_file *log = (struct log_file *)file;
        log->len = 0;
        log->lost = NOTHING_LOST;
    }
}

void kj__sqlite_log_follow(sqlite3 *db)
{
    (void)sqlite3_rollback_hook(db, forget, db);
}
