/* protocol.c - see protocol.h. */
#include "dispatch/protocol.h"

#include "base/clock.h"
#include "codec/error_array.h"
#include "codec/event.h"

#include <stdlib.h>

static struct kj__events *events_of(const struct kj_session *session)
{
    return session->connection.endpoint->ctx;
}

/* ---- events out ---- */

static bool wants(const struct kj_session *session, const struct kj__message *message)
{
    const struct kj_event *event = message->event;
    if (session->is_in_error || kj_event_timestamp_ns(event) < session->start_ns) {
        return false;
    }
    const char *type = kj_event_type(event);
    if (kj_push_config_wants(session->config, kj_event_identity(event), type)) {
        return true;
    }
    for (const char *const *name = message->related; name && *name; name++) {
        if (kj_push_config_wants(session->config, *name, type)) {
            return true;
        }
    }
    return false;
}

/* The session's socket is not there yet; the decision waits for it, in order. */
static void hold(struct kj_session *session, struct kj__message *message)
{
    const struct kj__endpoint *endpoint = session->connection.endpoint;
    struct kj__message **held = NULL;
    if (session->held_count < endpoint->queue_messages) {
        held = realloc(session->held, (session->held_count + 1) * sizeof(struct kj__message *));
    }
    if (!held) {
        KJ__COUNT(message->counters, dropped_queue_full);
        return;
    }
    session->held = held;
    held[session->held_count++] = kj__message_ref(message);
}

void kj__events_deliver(struct kj_session *session, struct kj__message *message)
{
    const struct kj_dispatch_handler *handler = message->handler;
    if (session->connection.state == KJ__CONNECTION_PREPARED) {
        hold(session, message);
        return;
    }
    if (session->connection.state != KJ__CONNECTION_OPEN || !wants(session, message) ||
        (handler->should_dispatch &&
         !handler->should_dispatch(session, message->event, message->summary, handler->ctx))) {
        return;
    }
    struct kj__out_frame *frame = kj__message_frame(message, session->write_encoding);
    if (!frame) {
        KJ__COUNT(message->counters, dropped_no_memory);
        return;
    }
    if (kj__connection_send(&session->connection, frame) == KJ__SENT) {
        session->connection.shard->tally.events_queued++;
    }
}

/* Decides what was held, or counts it as lost. A delivery may end the session, which comes
 * here again: the list is taken off it first. */
static void release_held(struct kj_session *session, bool deliver)
{
    struct kj__message **held = session->held;
    size_t count = session->held_count;
    session->held = NULL;
    session->held_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (deliver && session->connection.state == KJ__CONNECTION_OPEN) {
            kj__events_deliver(session, held[i]);
        } else {
            KJ__COUNT(held[i]->counters, dropped_closing);
        }
        kj__message_unref(held[i]);
    }
    free(held);
}

static void on_open(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    const struct kj__events_options *options = &events_of(session)->options;
    KJ__COUNT(options->counters, sessions_opened);
    KJ__COUNT(options->counters, sessions);
    if (options->dispatch->on_session_start) {
        options->dispatch->on_session_start(session, options->dispatch->ctx);
    }
    release_held(session, true);
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    struct kj_session *session = kj__session_of(connection);
    const struct kj__events_options *options = &events_of(session)->options;
    release_held(session, false);
    if (was_open) {
        KJ__UNCOUNT(options->counters, sessions);
        if (options->dispatch->on_session_stop) {
            options->dispatch->on_session_stop(session, options->dispatch->ctx);
        }
    }
}

static void release(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    kj__events_give_place(events_of(session), session->remote_address);
    kj__session_free(session);
}

/* ---- push configs in ---- */

static struct kj__out_frame *make_error_frame(const struct kj_session *session,
                                              const struct kj_api_error *error)
{
    struct kj__buffer entity;
    kj__buffer_init(&entity);
    struct kj_event *event = NULL;
    if (kj__error_encode(error, session->write_encoding, &entity)) {
        kj__buffer_fini(&entity);
        return NULL;
    }
    if (kj__event_new_take(KJ_EVENT_ERROR, "", kj__clock_wall_ns(), session->write_encoding,
                           &entity, &event)) {
        return NULL;
    }
    struct kj__out_frame *frame = kj__event_frame(event, session->write_encoding);
    kj_event_unref(event);
    return frame;
}

/* Tells a client that asked for error events; until its next good config it gets no other. */
static void send_error_event(struct kj_session *session, const struct kj_api_error *error)
{
    struct kj__out_frame *frame = make_error_frame(session, error);
    session->is_in_error = true;
    if (!frame) {
        kj__connection_close(&session->connection, KJ__CLOSE_INTERNAL, NULL, KJ__CAUSE_BAD_CONFIG,
                             false);
        return;
    }
    KJ__COUNT(events_of(session)->options.counters, error_events);
    kj__connection_send(&session->connection, frame);
    kj__out_frame_unref(frame);
}

static void refuse_config(struct kj_session *session, enum kj_status status,
                          const struct kj_error *why)
{
    KJ__COUNT(events_of(session)->options.counters, push_configs_bad);
    if (!session->wants_errors) {
        kj__connection_close(&session->connection, KJ__CLOSE_UNSUPPORTED, NULL,
                             KJ__CAUSE_BAD_CONFIG, false);
        return;
    }
    /* A filter at fault is named, as bahamut names it. */
    json_t *data = status == KJ_EINVAL ? json_pack("{s:s}", "pushconfig", "filters") : NULL;
    send_error_event(session, &(struct kj_api_error){.title = "Bad request",
                                                     .subject = "bahamut",
                                                     .description = why->text,
                                                     .data = data});
    json_decref(data);
}

/* Text or binary: the session's encoding says what it is, not the frame. */
static void on_message(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len)
{
    (void)opcode;
    struct kj_session *session = kj__session_of(connection);
    struct kj_push_config *config;
    struct kj_error error = {{0}, 0};
    enum kj_status status = kj_push_config_decode(data, len, session->read_encoding, &config,
                                                  &error);
    if (!status) {
        status = kj__session_set_config_take(session, config);
        kj_error_set(&error, 0, "the parameters were not taken over: %s", kj_status_text(status));
    }
    if (status) {
        refuse_config(session, status, &error);
        return;
    }
    session->is_in_error = false;
    KJ__COUNT(events_of(session)->options.counters, push_configs);
}

const struct kj__protocol kj__events_protocol = {
    .name = "events",
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .release = release,
};
