/* storage.h - the storage a test is about: the one in memory, or, in programs compiled with
 * STORAGE_SQLITE, the one in a file.
 */
#ifndef HANDLERS_STORAGE_H
#define HANDLERS_STORAGE_H

#include <kujata/kujata.h>

/* An empty one. */
enum kj_status storage_open(const struct kj_model *model, struct kj_store **store);
void storage_close(struct kj_store *store);

/* The path of a file that does not exist yet, in an empty directory of its own; static. */
const char *storage_path(void);

/* Removes it, what SQLite keeps beside it, and the directory. */
void storage_remove(void);

#endif
