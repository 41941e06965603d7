/* renewal.c - see renewal.h. */
#include "dispatch/renewal.h"

#include "base/log.h"
#include "dispatch/events.h"
#include "dispatch/protocol.h"

#include <stdlib.h>

struct kj__renewal {
    struct kj__job job;
    struct kj_session *session;  /* a reference */
    struct kj_session *stand_in; /* likewise; only the thread that has the renewal touches it */
    bool is_accepted;
    struct kj_error text; /* why not */
};

static struct kj__events *events_of(const struct kj_session *session)
{
    return session->connection.endpoint->ctx;
}

static void renewal_free(struct kj__renewal *renewal)
{
    kj_session_unref(renewal->stand_in);
    kj_session_unref(renewal->session);
    free(renewal);
}

/* ---- back on the shard ---- */

static void run_verdict(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct kj__renewal *renewal = (struct kj__renewal *)job;
    struct kj_session *session = renewal->session;
    struct kj__counters *counters = events_of(session)->options.counters;
    session->is_renewing = false;
    if (session->connection.state == KJ__CONNECTION_OPEN) {
        if (renewal->is_accepted) {
            kj__session_take_over(session, renewal->stand_in);
            KJ__COUNT(counters, renewals);
            if (session->wants_renewal) {
                kj__renewal_begin(session);
            }
        } else {
            KJ__COUNT(counters, renewals_refused);
            kj__events_end_unauthorized(session, renewal->text.text);
        }
    }
    renewal_free(renewal);
}

/* ---- on a thread of its own ---- */

static void look_at(struct kj__renewals *renewals, struct kj__renewal *renewal)
{
    renewal->is_accepted = kj__events_authenticate_later(renewals->events, renewal->stand_in,
                                                         &renewal->text);
    renewal->job.run = run_verdict;
    if (!kj__shard_post(renewal->session->connection.shard, &renewal->job)) {
        renewal_free(renewal);
    }
}

static void *run_renewals(void *argument)
{
    struct kj__renewals *renewals = argument;
    void *item;
    while (kj__queue_take_wait(&renewals->waiting, &item, 1) == 1) {
        look_at(renewals, item);
    }
    return NULL;
}

void kj__renewals_init(struct kj__renewals *renewals, struct kj__events *events)
{
    *renewals = (struct kj__renewals){.events = events};
    kj__queue_init(&renewals->waiting, KJ__RENEWALS_MAX);
}

enum kj_status kj__renewals_start(struct kj__renewals *renewals, size_t thread_count)
{
    renewals->threads = calloc(thread_count, sizeof *renewals->threads);
    if (!renewals->threads) {
        return KJ_ENOMEM;
    }
    for (; renewals->thread_count < thread_count; renewals->thread_count++) {
        if (pthread_create(&renewals->threads[renewals->thread_count], NULL, run_renewals,
                           renewals) != 0) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

void kj__renewals_stop(struct kj__renewals *renewals)
{
    void *item;
    kj__queue_close(&renewals->waiting);
    while (kj__queue_take(&renewals->waiting, &item, 1) == 1) {
        renewal_free(item);
    }
    for (; renewals->thread_count > 0; renewals->thread_count--) {
        pthread_join(renewals->threads[renewals->thread_count - 1], NULL);
    }
}

void kj__renewals_fini(struct kj__renewals *renewals)
{
    kj__queue_fini(&renewals->waiting);
    free(renewals->threads);
}

/* ---- from the shard ---- */

/* Neither the old claims nor new ones can be relied on. */
static void give_up(struct kj_session *session)
{
    static struct kj__log_limit limit;
    KJ__COUNT(events_of(session)->options.counters, renewals_failed);
    kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                    "a session was closed: its new token cannot be looked at; see the option "
                    "renewal_threads (--renewal-threads)");
    kj__connection_close(&session->connection, KJ__CLOSE_TRY_LATER, "too busy", KJ__CAUSE_SERVER,
                         false);
}

void kj__renewal_begin(struct kj_session *session)
{
    struct kj__events *events = events_of(session);
    if (session->connection.state != KJ__CONNECTION_OPEN || atomic_load(&events->is_closed)) {
        return; /* it ends, or the server does */
    }
    if (session->is_renewing) {
        KJ__COUNT_BY(events->options.counters, renewals_skipped, session->wants_renewal);
        session->wants_renewal = true;
        return;
    }
    session->wants_renewal = false;
    struct kj__renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal) {
        give_up(session);
        return;
    }
    renewal->session = kj_session_ref(session);
    renewal->stand_in = kj__session_stand_in(&events->sessions_slab, session);
    if (!renewal->stand_in ||
        kj__queue_push(&events->renewals.waiting, renewal, NULL) != KJ__QUEUE_PUSHED) {
        renewal_free(renewal);
        give_up(session);
        return;
    }
    session->is_renewing = true;
}
