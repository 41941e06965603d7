/* session_push.c - events for one session alone; see kujata/session.h. */
#include "dispatch/events.h"
#include "dispatch/message.h"
#include "model/event.h"

#include <kujata/session.h>
#include <stdlib.h>

struct push {
    struct kj__job job;
    struct kj_session *session;  /* a reference */
    struct kj_event *event;      /* a reference */
    struct kj__out_frame *frame; /* likewise */
};

/* Not the events' own: a client of the gateway is a session too, though of no events. */
static struct kj__counters *counters_of(const struct kj_session *session)
{
    return session->connection.shard->delivery->counters;
}

static const struct kj__events_options *options_of(const struct kj_session *session)
{
    const struct kj__events *events = session->connection.endpoint->ctx;
    return &events->options;
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
        KJ__COUNT(options_of(session)->counters, session_pushes_filtered);
    }
    push_free(push);
}

/* On the caller's thread, since a shard has better to do than to encode for one session. What a
 * session must not see is hidden as from those who hear of a publication. */
static enum kj_status make_push(struct kj_session *session, const struct kj_event *event,
                                struct push **push)
{
    const struct kj_model *model = options_of(session)->model;
    *push = calloc(1, sizeof **push);
    if (!*push) {
        return KJ_ENOMEM;
    }
    (*push)->job.run = run_push;
    (*push)->session = kj_session_ref(session);
    enum kj_status status = kj__model_hide_secrets(model, event, &(*push)->event);
    if (status) {
        return status;
    }
    (*push)->frame = kj__event_frame_as(model, (*push)->event, session->write_encoding);
    return (*push)->frame ? KJ_OK : KJ_ENOMEM;
}

enum kj_status kj_session_push(struct kj_session *session, const struct kj_event *event)
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
    KJ__COUNT(options_of(session)->counters, session_pushes);
    return KJ_OK;
}
