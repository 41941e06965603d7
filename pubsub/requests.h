/* requests.h - publications whose sender waits for an answer: the table of those under way.
 *
 * Each has an address of its own, the subject its answer comes to. The first answer settles it;
 * so do its deadline and the end of the backend. One thread, started with the first request,
 * watches the deadlines and calls the handlers, with no lock held; so neither a publisher nor
 * what reads from a broker ever waits for a handler.
 */
#ifndef KJ_PUBSUB_REQUESTS_H
#define KJ_PUBSUB_REQUESTS_H

#include "base/list.h"
#include "base/map.h"

#include <kujata/pubsub.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "_INBOX.", 32 hexadecimal digits of this backend, a number of up to 20 digits. */
enum { KJ__REQUEST_PREFIX_SIZE = 41, KJ__REQUEST_ADDRESS_SIZE = 62 };

struct kj__request_counters {
    _Atomic uint64_t requests, answered, timed_out, unheard, misanswered, abandoned, late_answers;
};

struct kj__requests {
    struct kj__request_counters counters;
    char prefix[KJ__REQUEST_PREFIX_SIZE]; /* of every address; ends with a dot */
    uint32_t limit;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kj__map open;       /* from address to request; guarded by lock, as is all below */
    struct kj__list deadlines; /* of kj__request.node: the open ones, the soonest first */
    struct kj__list settled;   /* of kj__request.node: to be told */
    size_t alive;              /* open and settled */
    uint64_t last_number;
    bool closed, started, stopping;
    pthread_t thread;
};

/* `limit` 0: 4,096. */
void kj__requests_init(struct kj__requests *requests, uint32_t limit);

/* Every open request is settled with KJ_ECLOSED, and no other begins.   [any thread] */
void kj__requests_close(struct kj__requests *requests);

/* Waits until every handler has been called. After close; not from a handler. */
void kj__requests_stop(struct kj__requests *requests);

void kj__requests_fini(struct kj__requests *requests);

/* Opens a request and makes up its address. KJ_EFULL, KJ_ECLOSED or KJ_ENOMEM; then the handler
 * is not called.                                                        [any thread] */
enum kj_status kj__requests_open(struct kj__requests *requests,
                                 const struct kj_request_options *options,
                                 char address[KJ__REQUEST_ADDRESS_SIZE]);

/* Takes a request back; its handler is not called. False: too late, it is settled.
 *                                                                       [any thread] */
bool kj__requests_withdraw(struct kj__requests *requests, const char *address);

bool kj__requests_is_open(struct kj__requests *requests, const char *address); /* [any thread] */

/* Settles the request of that address, if any, with a message as it came.  [any thread] */
void kj__requests_answer(struct kj__requests *requests, const char *address, const uint8_t *bytes,
                         size_t len);

/* The same with a failure: KJ_ENOTFOUND, nobody listens; KJ_EIO, it cannot be sent.
 *                                                                       [any thread] */
void kj__requests_fail(struct kj__requests *requests, const char *address, enum kj_status status);

#endif
