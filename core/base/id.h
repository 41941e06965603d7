/* id.h - random bytes and the identifiers made of them.                     [any thread] */
#ifndef KJ_BASE_ID_H
#define KJ_BASE_ID_H

#include <stddef.h>

enum { KJ__UUID_SIZE = 37, KJ__OBJECT_ID_SIZE = 25 };

/* From the kernel. Aborts when it gives none: no identifier may be guessable. */
void kj__random_bytes(void *bytes, size_t len);

/* A random UUID (version 4), with its terminator. */
void kj__uuid_make(char text[KJ__UUID_SIZE]);

/* 24 hexadecimal digits that grow with time: seconds, a process-wide random part, a counter.
 * IDs of one process sort in the order made. */
void kj__object_id_make(char text[KJ__OBJECT_ID_SIZE]);

#endif
