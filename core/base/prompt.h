/* prompt.h - threads that give way.                                         [any thread]
 *
 * A shard's flush to thousands of sessions computes for milliseconds; between batches of writes
 * it lets others have the core, since what they bring goes out in the same writes. The kernel
 * takes the rest of its slice for that, which must be short then: on a core that others keep busy
 * a flush of 5 ms took 48 ms with the usual slice of 3 ms, and 12 ms with this one.
 *
 * A worker of HTTP that wakes for one connection, and takes the core from the thread that accepts
 * the next, finds just that one; and so does the shard it hands it to. When it waits for its turn
 * instead, there are many for each of them: on one core, 10,000 sessions open with 7,000 to 15,000
 * switches between threads and 25 to 34 us each, instead of 40,000 to 50,000 and 44 to 51.
 */
#ifndef KJ_BASE_PROMPT_H
#define KJ_BASE_PROMPT_H

/* Asks for a shorter slice for the calling thread: its share of the processor stays the same, but
 * it gets it in smaller pieces, and sooner (Linux 6.12; without effect before). */
void kj__thread_be_prompt(void);

/* The calling thread no longer takes the processor from another one when it wakes; it has its share
 * as before. Threads that it makes are not like that. */
void kj__thread_be_patient(void);

#endif
