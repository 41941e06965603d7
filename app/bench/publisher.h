/* publisher.h - one connection that events are published on: HTTP or a websocket.
 *
 * Only the process that was started has one. Calls block.
 */
#ifndef KUJATA_APP_BENCH_PUBLISHER_H
#define KUJATA_APP_BENCH_PUBLISHER_H

#include "bench/bench.h"

struct bench_publisher;

/* NULL with the reason in `fault` when there is no connection. */
struct bench_publisher *bench_publisher_new(const struct bench_settings *settings,
                                            char fault[BENCH_FAULT_SIZE]);
void bench_publisher_free(struct bench_publisher *publisher);

/* Publishes one event with the mark of `number`. By HTTP it waits for the answer, and connects
 * anew when the server has ended the connection since the last. */
bool bench_publish(struct bench_publisher *publisher, uint32_t number, uint64_t planned_ns,
                   char fault[BENCH_FAULT_SIZE]);

#endif
