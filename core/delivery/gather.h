/* gather.h - what is under way together is written together.
 *
 * A write of eight frames costs the kernel little more than a write of one. So before a shard
 * starts to write to many members, whoever is about to post and waits for this core goes first;
 * and where the last flush of an audience carried several frames, that many are waited for again,
 * for a small part of the time such a flush takes. A flush that carried less is what the next one
 * goes by: the wait that nobody came to is not repeated.
 */
#ifndef KJ_DELIVERY_GATHER_H
#define KJ_DELIVERY_GATHER_H

#include <stdint.h>

struct kj__shard;

/* The longest wait. */
enum { KJ__GATHER_WAIT_MAX_NS = 2000000 };

/* Before the audiences that have members behind are flushed.               [the shard's] */
void kj__gather(struct kj__shard *shard);

#endif
