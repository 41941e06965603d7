/* position.c - see position.h. */
#include "dispatch/position.h"

#include "base/clock.h"
#include "codec/event.h"
#include "dispatch/events.h"

enum { PARTS = 4 }; /* of what is kept: one of them is far */

static const struct kj__events *events_of(const struct kj_session *session)
{
    return session->connection.endpoint->ctx;
}

void kj__position_format(const struct kj_session *session, char seq[KJ__SEQ_SIZE])
{
    kj__seq_format(events_of(session)->stream, session->told, seq);
}

/* Whether it has had, or is to get before anything that is sent now, all there was for it: with a
 * replay it has not, in error it would not, and behind a gap it must not seem so. */
static bool is_whole(const struct kj_session *session)
{
    return session->wants_seq && !session->replay && !session->is_in_error &&
           session->dropped == 0 && session->connection.state == KJ__CONNECTION_OPEN;
}

/* Behind what is kept, or what may be while none was given up. */
static bool is_far(const struct kj_session *session, const struct kj__recent *recent)
{
    uint64_t kept = recent->first > 1 ? recent->last + 1 - recent->first : recent->capacity;
    return recent->last > session->told && (recent->last - session->told) * PARTS >= kept;
}

/* NULL when there is no memory. */
static struct kj__out_frame *make_frame(const struct kj_session *session, uint64_t number)
{
    static const char empty_json[] = "{}";
    struct kj__buffer entity;
    struct kj_event *event;
    kj__buffer_init(&entity);
    if (session->write_encoding == KJ_ENCODING_JSON) {
        kj__buffer_append_text(&entity, empty_json);
    } else {
        kj__msgpack_put_map(&entity, 0);
    }
    if (kj__event_new_take(KJ_EVENT_POSITION, "", kj__clock_wall_ns(), session->write_encoding,
                           &entity, &event)) {
        return NULL;
    }
    char seq[KJ__SEQ_SIZE];
    kj__seq_format(events_of(session)->stream, number, seq);
    struct kj__out_frame *frame = kj__event_frame_at(event, session->write_encoding, seq);
    kj_event_unref(event);
    if (frame) {
        frame->is_notice = true; /* it is no event that could be dropped */
    }
    return frame;
}

void kj__position_tell(struct kj_session *session)
{
    struct kj__connection *connection = &session->connection;
    const struct kj__recent *recent = kj__replay_recent(session);
    if (!is_whole(session) || !is_far(session, recent)) {
        return;
    }
    if (session->seat.audience) {
        kj__seat_settle(&session->seat); /* now, as this may leave a gap or end the session */
    }
    if (!is_whole(session) || !kj__connection_has_ample_room(connection, 0)) {
        return;
    }
    if (connection->endpoint->queue_policy == KJ_QUEUE_DROP_OLDEST &&
        !kj__out_queue_is_empty(&connection->out)) {
        return; /* what waits may still be dropped, and the place would lead over it */
    }
    struct kj__out_frame *frame = make_frame(session, recent->last);
    if (frame) {
        session->told = recent->last;
        KJ__COUNT(events_of(session)->options.counters, positions_told);
        kj__connection_send(connection, frame);
        kj__out_frame_unref(frame);
    }
}
