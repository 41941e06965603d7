/* file.h - a whole file of settings or secrets in memory. */
#ifndef KJ_HANDLERS_FILE_H
#define KJ_HANDLERS_FILE_H

#include <kujata/error.h>
#include <kujata/status.h>
#include <stddef.h>

/* *text gets a NUL behind it that *len does not count, and is freed with kj__file_free. KJ_ELIMIT
 * for a file of more than `max` bytes, KJ_EIO where it cannot be read. */
enum kj_status kj__file_read(const char *path, size_t max, char **text, size_t *len,
                             struct kj_error *error);

/* Wipes it first. NULL is fine. */
void kj__file_free(char *text, size_t len);

#endif
