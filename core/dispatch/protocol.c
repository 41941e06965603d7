/* protocol.c - see protocol.h. */
#include "dispatch/protocol.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "codec/error_array.h"
#include "codec/event.h"
#include "dispatch/position.h"

#include <stdlib.h>

enum { NS_PER_S = 1000000000 };

static struct kj__events *events_of(const struct kj_session *session)
{
    return session->connection.endpoint->ctx;
}

static struct kj__roster *roster_of(const struct kj_session *session)
{
    struct kj__events *events = events_of(session);
    return &events->rosters[session->connection.shard - events->options.delivery->shards];
}

/* ---- events out ---- */

static void on_dropped(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    if (session->dropped++ == 0) {
        session->dropped_since_ns = kj__clock_wall_ns();
    }
}

/* The session's socket is not there yet; the decision waits for it, in order. */
static void hold(struct kj_session *session, struct kj__message *message)
{
    const struct kj__endpoint *endpoint = session->connection.endpoint;
    struct kj__tally *tally = &session->connection.shard->tally;
    if (kj__replay_waits(session)) {
        return;
    }
    if (session->held_count >= endpoint->queue_messages) {
        on_dropped(&session->connection);
        tally->events_queued++;
        KJ__COUNT(message->counters, dropped_queue_full);
        return;
    }
    size_t size = (session->held_count + 1) * sizeof(struct kj__message *);
    struct kj__message **held = realloc(session->held, size);
    if (!held) {
        on_dropped(&session->connection);
        tally->events_queued++;
        KJ__COUNT(message->counters, dropped_no_memory);
        return;
    }
    session->held = held;
    held[session->held_count++] = kj__message_ref(message);
}

bool kj__events_admits(struct kj_session *session, struct kj__message *message)
{
    const struct kj_dispatch_handler *handler = message->handler;
    if (!session->wants_seq && kj_event_timestamp_ns(message->event) < session->start_ns) {
        return false;
    }
    return !handler->should_dispatch ||
           handler->should_dispatch(session, message->event, message->summary, handler->ctx);
}

void kj__events_send(struct kj_session *session, struct kj__message *message)
{
    struct kj__out_frame *frame = kj__message_frame(message, kj__session_form(session));
    session->connection.shard->tally.events_queued++;
    if (frame) {
        kj__connection_send(&session->connection, frame);
    } else {
        KJ__COUNT(message->counters, dropped_no_memory);
    }
}

bool kj__events_offer(struct kj_session *session, struct kj__message *message)
{
    bool is_admitted = kj__events_admits(session, message);
    if (is_admitted) {
        kj__events_send(session, message);
    }
    return is_admitted;
}

void kj__events_deliver(struct kj__events *events, struct kj__shard *shard,
                        struct kj__message *message)
{
    size_t index = (size_t)(shard - events->options.delivery->shards);
    kj__replays_keep(&events->replays[index], message);
    for (struct kj__list *link = shard->prepared.next; link != &shard->prepared;
         link = link->next) {
        struct kj__connection *connection = KJ__CONTAINER_OF(link, struct kj__connection,
                                                             round_link);
        if (connection->endpoint == &events->endpoint) {
            hold(kj__session_of(connection), message);
        }
    }
    kj__roster_deliver(&events->rosters[index], message);
    kj__replays_catch_up(&events->replays[index]);
}

/* Decides what was held, or counts it as lost. */
static void release_held(struct kj_session *session, bool deliver)
{
    for (size_t i = 0; i < session->held_count; i++) {
        if (deliver && session->connection.state == KJ__CONNECTION_OPEN) {
            (void)kj__events_offer(session, session->held[i]); /* there is no push config yet */
        } else {
            session->connection.shard->tally.events_queued++;
            KJ__COUNT(session->held[i]->counters, dropped_closing);
        }
        kj__message_unref(session->held[i]);
    }
    free(session->held);
    session->held = NULL;
    session->held_count = 0;
}

/* It is told behind what was held, as of any gap. */
static void report_unheld(struct kj_session *session)
{
    struct kj__connection *connection = &session->connection;
    if (session->dropped > 0 && connection->state == KJ__CONNECTION_OPEN) {
        connection->has_dropped = true;
        kj__shard_mark_dirty(connection->shard, connection);
    }
}

void kj__events_enter(struct kj_session *session)
{
    if (session->connection.state == KJ__CONNECTION_OPEN &&
        !kj__roster_enter(roster_of(session), session)) {
        kj__connection_close(&session->connection, KJ__CLOSE_INTERNAL, "no memory",
                             KJ__CAUSE_SERVER, false);
    }
}

static void on_open(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    const struct kj__events_options *options = &events_of(session)->options;
    KJ__COUNT(options->counters, sessions_opened);
    KJ__COUNT(options->counters, sessions);
    atomic_store(&session->is_open, true);
    if (options->dispatch->on_session_start) {
        options->dispatch->on_session_start(session, options->dispatch->ctx);
    }
    if (session->replay) {
        kj__replay_open(session);
    }
    if (!session->replay) { /* else it is mute until its first config */
        release_held(session, true);
        report_unheld(session);
        kj__events_enter(session);
    }
}

static void give_place(struct kj_session *session)
{
    if (session->has_place) {
        session->has_place = false;
        kj__events_give_place(events_of(session), session->remote_address);
    }
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    struct kj_session *session = kj__session_of(connection);
    const struct kj__events_options *options = &events_of(session)->options;
    release_held(session, false);
    if (session->replay) {
        kj__replay_end(session);
    }
    kj__roster_leave(roster_of(session), session);
    atomic_store(&session->is_open, false);
    give_place(session); /* whoever keeps the session, it counts no more */
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
    struct kj__events *events = events_of(session);
    give_place(session);
    kj__replay_free(session);
    kj__interest_unref(session->interest);
    kj__session_free(&events->sessions_slab, session);
}

/* ---- error events ---- */

/* `seq` is the place it tells as well; NULL: none. */
static struct kj__out_frame *make_error_frame(const struct kj_session *session,
                                              const struct kj_api_error *error, const char *seq)
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
    struct kj__out_frame *frame = seq ? kj__event_frame_at(event, session->write_encoding, seq)
                                      : kj__event_frame(event, session->write_encoding);
    kj_event_unref(event);
    return frame;
}

/* NULL: there was no memory. */
static void send_error_frame_take(struct kj_session *session, struct kj__out_frame *frame,
                                  bool is_notice)
{
    if (!frame) {
        kj__connection_close(&session->connection, KJ__CLOSE_INTERNAL, NULL, KJ__CAUSE_BAD_CONFIG,
                             false);
        return;
    }
    KJ__COUNT(events_of(session)->options.counters, error_events);
    frame->is_notice = is_notice;
    if (is_notice) {
        kj__connection_send_notice(&session->connection, frame);
    } else {
        kj__connection_send(&session->connection, frame);
    }
    kj__out_frame_unref(frame);
}

/* Tells a client that asked for error events; of drops by a notice. */
static void send_error_event(struct kj_session *session, const struct kj_api_error *error,
                             bool is_notice)
{
    send_error_frame_take(session, make_error_frame(session, error, NULL), is_notice);
}

void kj__events_tell(struct kj_session *session, const struct kj_api_error *error, const char *seq)
{
    send_error_frame_take(session, make_error_frame(session, error, seq), true);
}

/* ---- credentials that run out ---- */

static void on_expired(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    if (session->wants_errors) {
        send_error_event(session,
                         &(struct kj_api_error){.code = 401,
                                                .title = "Session expired",
                                                .subject = "kujata",
                                                .description = "This session's credential ran out"},
                         false);
    }
    kj__connection_close(connection, KJ__CLOSE_POLICY, "this session's credential ran out",
                         KJ__CAUSE_EXPIRED, true);
}

/* ---- slow clients ---- */

static void on_drained(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    if (session->replay) {
        kj__replay_go_on(session);
    }
}

static void on_ping_due(struct kj__connection *connection)
{
    kj__position_tell(kj__session_of(connection));
}

/* How many events it has missed, and since when. Who asked to resume relies on having missed
 * none. */
static void on_room(struct kj__connection *connection)
{
    struct kj_session *session = kj__session_of(connection);
    uint32_t dropped = session->dropped;
    session->dropped = 0;
    if (!(session->wants_errors || session->wants_seq) || dropped == 0) {
        return;
    }
    char since[KJ__TIMESTAMP_TEXT_SIZE];
    kj__timestamp_format(
        (struct kj__timestamp){.seconds = session->dropped_since_ns / NS_PER_S,
                               .nanoseconds = (uint32_t)(session->dropped_since_ns % NS_PER_S)},
        since);
    struct kj_error text = {{0}, 0};
    kj_error_set(&text, 0, "%u events were dropped since %s: this session's queue was full",
                 dropped, since);
    json_t *data = json_pack("{s:I, s:s}", "dropped", (json_int_t)dropped, "since", since);
    send_error_event(
        session,
        &(struct kj_api_error){
            .title = "Events dropped", .subject = "kujata", .description = text.text, .data = data},
        true);
    json_decref(data);
}

/* ---- tokens refused ---- */

void kj__events_end_unauthorized(struct kj_session *session, const char *reason)
{
    if (session->wants_errors) {
        send_error_event(
            session,
            &(struct kj_api_error){
                .code = 401, .title = "Unauthorized", .subject = "bahamut", .description = reason},
            false);
    }
    kj__connection_close(&session->connection, KJ__CLOSE_POLICY, "unauthorized",
                         KJ__CAUSE_UNAUTHORIZED, session->wants_errors);
}

/* ---- push configs in ---- */

/* The client comes back at once and with the same config: it is let go of slower each time. */
static void close_for_bad_config(struct kj_session *session)
{
    struct kj__events *events = events_of(session);
    uint32_t wait_ms = kj__strikes_add(&events->strikes, session->remote_address,
                                       kj__clock_monotonic_ms());
    if (wait_ms == 0) {
        kj__connection_close(&session->connection, KJ__CLOSE_UNSUPPORTED, NULL,
                             KJ__CAUSE_BAD_CONFIG, false);
        return;
    }
    static struct kj__log_limit limit;
    atomic_store(&session->is_open, false); /* pushes are refused as they will be */
    KJ__COUNT(events->options.counters, late_closes);
    kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                    "%s keeps sending bad push configs and is held for %u ms before it is closed; "
                    "see the limits bad_config_wait_ms (--limit-bad-config-wait-ms) and "
                    "bad_config_wait_max_ms (--limit-bad-config-wait-max-ms)",
                    session->remote_address, wait_ms);
    session->is_in_error = true;
    kj__roster_leave(roster_of(session), session);
    kj__connection_close_late(&session->connection, KJ__CLOSE_UNSUPPORTED, KJ__CAUSE_BAD_CONFIG,
                              wait_ms);
}

static void refuse_config(struct kj_session *session, enum kj_status status,
                          const struct kj_error *why)
{
    KJ__COUNT(events_of(session)->options.counters, push_configs_bad);
    if (!session->wants_errors) {
        close_for_bad_config(session);
        return;
    }
    /* A filter at fault is named, as bahamut names it. */
    json_t *data = status == KJ_EINVAL ? json_pack("{s:s}", "pushconfig", "filters") : NULL;
    session->is_in_error = true;
    kj__roster_leave(roster_of(session), session);
    send_error_event(
        session,
        &(struct kj_api_error){
            .title = "Bad request", .subject = "bahamut", .description = why->text, .data = data},
        false);
    json_decref(data);
}

/* Replaces what the session asked for. A config at fault changes nothing. */
static enum kj_status take_config(struct kj_session *session, struct kj_push_config *config,
                                  struct kj_error *error)
{
    struct kj__events *events = events_of(session);
    struct kj__session_parameters parameters;
    enum kj_status status = kj__session_merge_parameters(session, config, &parameters);
    if (status) {
        kj_push_config_free(config);
        kj_error_set(error, 0, "the parameters were not taken over: %s", kj_status_text(status));
        return status;
    }
    struct kj__interest *interest;
    status = kj__interests_get_take(&events->interests, config, &interest, error);
    if (status) {
        free(parameters.packed);
        return status;
    }
    bool is_new_token = parameters.is_new_token;
    kj__session_set_parameters_take(session, &parameters);
    kj__roster_leave(roster_of(session), session);
    kj__interest_unref(session->interest);
    session->interest = interest;
    session->is_in_error = false;
    KJ__COUNT(events->options.counters, push_configs);
    if (session->replay) {
        kj__replay_begin(session);
    } else {
        kj__events_enter(session);
    }
    if (is_new_token && events->options.authenticator_count > 0) {
        kj__renewal_begin(session);
    }
    return KJ_OK;
}

const struct kj_push_config *kj_session_push_config(const struct kj_session *session)
{
    return session->interest ? session->interest->config : NULL;
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
        status = take_config(session, config, &error);
    }
    if (status) {
        refuse_config(session, status, &error);
    }
}

const struct kj__protocol kj__events_protocol = {
    .name = "events",
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
    .on_dropped = on_dropped,
    .on_room = on_room,
    .on_drained = on_drained,
    .on_ping_due = on_ping_due,
    .on_expired = on_expired,
    .release = release,
};
