/* hash.h - 64 bits of any bytes, seeded per process.                        [any thread]
 *
 * A peer who chooses the bytes cannot choose which of them collide. Not for the wire or a disk:
 * another process gets other values.
 */
#ifndef KJ_BASE_HASH_H
#define KJ_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t kj__hash(const void *bytes, size_t len);

#endif
