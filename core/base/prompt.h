/* prompt.h - threads that are not to wait behind a shard's flush.           [any thread]
 *
 * A flush to thousands of sessions computes for milliseconds, and on a machine that is busy a
 * thread that wakes up to carry the next event there would wait for its slice of time to end.
 * What it brings in time goes out in the same writes.
 */
#ifndef KJ_BASE_PROMPT_H
#define KJ_BASE_PROMPT_H

/* Asks for a shorter slice for the calling thread: its share of the processor stays the same, but
 * it gets it sooner after a wake-up (Linux 6.12; without effect before). */
void kj__thread_be_prompt(void);

#endif
