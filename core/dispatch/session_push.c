/* session_push.c - events for one session alone; see kujata/session.h. */
#include "dispatch/events.h"
#include "dispatch/message.h"

#include <kujata/session.h>
#include <stdlib.h>

struct push {
    struct kj__job job;
    struct kj_session *session;  /* a reference */
    struct kj_event *event;      /* a reference */
    struct kj__out_frame *frame; /* likewise */
};

static struct kj__counters *counters_of(const struct kj_session *session)
{
    const struct kj__events *events = session->connection.endpoint->ctx;
    return events->options.counters;
}

static void push_free(struct push *push)
{
    kj__out_frame_unref(push->frame);
    kj_event_unref(push->event);
    kj_session_unref(push->session);
    free(push);
}

static bool is_wanted(const struct kj_session *session, const struct kj_event *event)
{
    return kj_event_timestamp_ns(event) >= session->start_ns &&
           kj_push_config_wants(kj_session_push_config(session), kj_event_identity(event),
                                kj_event_type(event));
}

static void run_push(struct kj__job *job, struct kj__shard *shard)
{
    struct push *push = (struct push *)job;
    struct kj_session *session = push->session;
    if (is_wanted(session, push->event)) {
        shard->tally.events_queued++;
        kj__connection_send(&session->connection, push->frame); /* counts what it drops */
    } else {
        KJ__COUNT(counters_of(session), session_pushes_filtered);
    }
    push_free(push);
}

/* On the caller's thread, since a shard has better to do than to encode for one session. */
static enum kj_status make_push(struct kj_session *session, struct kj_event *event,
                                struct push **push)
{
    *push = calloc(1, sizeof **push);
    if (!*push) {
        return KJ_ENOMEM;
    }
    (*push)->job.run = run_push;
    (*push)->session = kj_session_ref(session);
    (*push)->event = kj_event_ref(event);
    (*push)->frame = kj__event_frame(event, session->write_encoding);
    return (*push)->frame ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj_session_push(struct kj_session *session, struct kj_event *event)
{
    struct push *push = NULL;
    enum kj_status status = atomic_load(&session->is_open) ? make_push(session, event, &push)
                                                           : KJ_ECLOSED;
    if (!status) {
        status = kj__shard_try_post(session->connection.shard, &push->job);
    }
    if (status) {
        KJ__COUNT(counters_of(session), session_pushes_refused);
        if (push) {
            push_free(push);
        }
        return status;
    }
    KJ__COUNT(counters_of(session), session_pushes);
    return KJ_OK;
}
