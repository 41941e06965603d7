/* broker.h - a nats-server of a test's own, on 127.0.0.1 and a free port. */
#ifndef KJ_TEST_BROKER_H
#define KJ_TEST_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

struct broker {
    pid_t pid; /* 0: not running */
    int port;
    int log;          /* where the server writes; it must stay open while it runs */
    const char *user; /* the only one let in, with password "secret"; NULL: everybody */
    char url[64];
};

/* Finds a free port and leaves it free, for a broker that comes later. */
void broker_reserve(struct broker *broker);

/* Starts it on its port and waits until it accepts. False when the program is missing. */
bool broker_start(struct broker *broker);

/* Reserves, starts, and ends the test program as skipped when nats-server is missing. */
void broker_start_or_skip(struct broker *broker);

/* Waits until the running server has written `text` that many times since it was ready.
 * False when it does not in time. */
bool broker_await_log(struct broker *broker, const char *text, int times);

void broker_kill(struct broker *broker);
void broker_pause(const struct broker *broker);
void broker_resume(const struct broker *broker);

#endif
