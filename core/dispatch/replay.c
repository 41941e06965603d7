/* replay.c - see replay.h. */
#include "dispatch/replay.h"

#include "base/log.h"
#include "codec/error_array.h"
#include "dispatch/events.h"
#include "dispatch/position.h"
#include "dispatch/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Events looked at in one round, of all sessions and of one: a filter or should_dispatch may take
 * a while for each. */
enum { ROUND_EVENTS = 1024, TURN_EVENTS = 128 };

static struct kj__events *events_of(const struct kj_session *session)
{
    return session->connection.endpoint->ctx;
}

static struct kj__replays *replays_of(const struct kj_session *session)
{
    struct kj__events *events = events_of(session);
    return &events->replays[session->connection.shard - events->options.delivery->shards];
}

const struct kj__recent *kj__replay_recent(const struct kj_session *session)
{
    return &replays_of(session)->recent;
}

/* ---- what cannot be had ---- */

static void count_fault(struct kj__counters *counters, enum kj__replay_fault fault)
{
    static struct kj__log_limit limit;
    switch (fault) {
    case KJ__REPLAY_FINE:
        break;
    case KJ__REPLAY_MALFORMED:
        KJ__COUNT(counters, resumes_malformed);
        break;
    case KJ__REPLAY_OFF:
        KJ__COUNT(counters, resumes_off);
        break;
    case KJ__REPLAY_OTHER_STREAM:
        KJ__COUNT(counters, resumes_other_stream);
        break;
    case KJ__REPLAY_AHEAD:
        KJ__COUNT(counters, resumes_ahead);
        break;
    case KJ__REPLAY_TOO_OLD:
        KJ__COUNT(counters, resumes_too_old);
        kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                        "a session could not resume: what it missed is no longer kept; see the "
                        "limits resume_events (--resume-events) and resume_bytes "
                        "(--resume-bytes)");
        break;
    }
}

/* Tells the client, whether or not it asked for error events: it asked for this. With the notice
 * and not before it comes the place to go on from: whoever has the one knows of the gap. */
static void tell(struct kj_session *session, enum kj__replay_fault fault)
{
    static const struct {
        const char *reason, *description;
    } texts[] = {
        [KJ__REPLAY_MALFORMED] = {"malformed", "since is not a text <stream>-<number>"},
        [KJ__REPLAY_OFF] = {"off", "This node keeps no events to resume from"},
        [KJ__REPLAY_OTHER_STREAM] = {"other-stream", "since is of another node, or of this one "
                                                     "before it was started again"},
        [KJ__REPLAY_AHEAD] = {"ahead", "since is ahead of what this node has given out"},
        [KJ__REPLAY_TOO_OLD] = {"too-old", "What was missed is no longer kept, or not all of it"},
    };
    count_fault(events_of(session)->options.counters, fault);
    json_t *data = json_pack("{s:s}", "reason", texts[fault].reason);
    char seq[KJ__SEQ_SIZE];
    session->told = session->replay->next - 1;
    kj__position_format(session, seq);
    const struct kj_api_error error = {.code = 410,
                                       .title = "Cannot resume",
                                       .subject = "kujata",
                                       .description = texts[fault].description,
                                       .data = data};
    kj__events_tell(session, &error, session->wants_seq ? seq : NULL);
    json_decref(data);
}

/* ---- one session ---- */

/* Where it was, by what the URL says. */
static enum kj__replay_fault read_since(struct kj__events *events, const char *since,
                                        uint64_t *number)
{
    const char *dash = strchr(since, '-');
    const char *digits = dash ? dash + 1 : "";
    bool is_number = *digits && digits[strspn(digits, "0123456789")] == '\0';
    errno = 0;
    *number = is_number ? strtoull(digits, NULL, 10) : 0;
    if (events->options.limits->resume_events == 0) {
        return KJ__REPLAY_OFF;
    }
    if (!is_number || dash == since || errno) {
        return KJ__REPLAY_MALFORMED;
    }
    size_t len = strlen(events->stream);
    if ((size_t)(dash - since) != len || memcmp(since, events->stream, len) != 0) {
        return KJ__REPLAY_OTHER_STREAM;
    }
    return *number > atomic_load(&events->last_number) ? KJ__REPLAY_AHEAD : KJ__REPLAY_FINE;
}

/* What cannot be read of a query is passed over, but whoever says where it was must hear of it. */
static bool has_since(const char *query)
{
    const char *pair = query;
    while (pair && strncmp(pair, "since=", strlen("since=")) != 0) {
        pair = strchr(pair, '&');
        pair += pair != NULL;
    }
    return pair != NULL;
}

bool kj__replay_prepare(struct kj__events *events, struct kj_session *session, const char *query)
{
    const char *since = kj_session_parameter(session, "since");
    if (!since && has_since(query)) {
        since = "";
    }
    session->wants_seq = events->options.limits->resume_events > 0 &&
                         (since || kj_session_parameter(session, "resume"));
    if (!since && !session->wants_seq) {
        return true;
    }
    struct kj__replay *replay = calloc(1, sizeof *replay);
    if (!replay) {
        return false;
    }
    uint64_t now = atomic_load(&events->last_number);
    session->told = now;
    kj__list_init(&replay->link);
    replay->session = session;
    replay->is_new = !since;
    replay->opening = now + 1;
    if (since) {
        uint64_t number;
        replay->fault = read_since(events, since, &number);
        session->told = replay->fault ? now : number;
    }
    replay->next = session->told + 1;
    session->is_answered_place = session->wants_seq && !replay->fault;
    session->replay = replay;
    return true;
}

bool kj__replay_waits(const struct kj_session *session)
{
    return session->replay && session->replay->fault != KJ__REPLAY_OFF;
}

/* Some of what it is to get was given up: the client is told. */
static void skip_lost(struct kj__replay *replay)
{
    uint64_t first = kj__replay_recent(replay->session)->first;
    replay->is_admitted = false;
    if (replay->next < replay->opening) {
        replay->next = replay->opening;
    }
    if (replay->next < first) {
        replay->next = first;
    }
    replay->fault = KJ__REPLAY_TOO_OLD;
    tell(replay->session, replay->fault);
}

void kj__replay_open(struct kj_session *session)
{
    struct kj__replay *replay = session->replay;
    if (replay->fault == KJ__REPLAY_OFF) {
        tell(session, replay->fault);
        kj__replay_free(session);
        return;
    }
    if (replay->fault) {
        tell(session, replay->fault);
    } else if (replay->next < kj__replay_recent(session)->first) {
        skip_lost(replay);
    }
    if (replay->is_new) {
        kj__replay_begin(session);
    }
}

void kj__replay_begin(struct kj_session *session)
{
    session->replay->has_begun = true;
    session->replay->is_admitted = false; /* another config may want other events */
    kj__replay_go_on(session);
}

void kj__replay_go_on(struct kj_session *session)
{
    struct kj__replay *replay = session->replay;
    struct kj__replays *replays = replays_of(session);
    if (replay->has_begun) {
        kj__list_unlink(&replay->link);
        /* One that is new has little to look at: it does not wait for those that come back. */
        if (replay->is_new) {
            kj__list_prepend(&replays->ready, &replay->link);
        } else {
            kj__list_append(&replays->ready, &replay->link);
        }
        kj__shard_run_next(replays->shard, &replays->chore);
    }
}

void kj__replay_end(struct kj_session *session)
{
    struct kj__replay *replay = session->replay;
    const struct kj__recent *recent = kj__replay_recent(session);
    kj__list_unlink(&replay->link);
    uint64_t next = replay->next > recent->first ? replay->next : recent->first;
    if (session->connection.was_open && next <= recent->last) {
        KJ__COUNT_BY(events_of(session)->options.counters, resume_events_left,
                     recent->last + 1 - next);
    }
}

void kj__replay_free(struct kj_session *session)
{
    free(session->replay);
    session->replay = NULL;
}

/* ---- feeding ---- */

/* Gives the next event to the session if it is for it; false when there is no room. */
static bool feed(const struct kj__replays *replays, struct kj__replay *replay)
{
    struct kj_session *session = replay->session;
    struct kj__message *message = kj__recent_at(&replays->recent, replay->next);
    if (!replay->is_admitted) {
        const struct kj__interest *interest = session->interest ? session->interest
                                                                : replays->events->everything;
        replay->is_admitted = kj__interest_wants(interest, message) &&
                              kj__events_admits(session, message);
    }
    if (replay->is_admitted) {
        const struct kj__out_frame *frame = kj__message_frame(message, kj__session_form(session));
        if (!kj__connection_has_ample_room(&session->connection, frame ? frame->len : 0)) {
            return false;
        }
        kj__events_send(session, message);
        session->told = message->number;
    }
    replay->is_admitted = false;
    replay->next++;
    return true;
}

static void join_the_others(struct kj__replay *replay)
{
    struct kj_session *session = replay->session;
    if (!replay->fault && !replay->is_new) {
        KJ__COUNT(events_of(session)->options.counters, resumes);
    }
    kj__replay_free(session);
    kj__position_tell(session);
    kj__events_enter(session);
}

/* One turn; a session that can go on is linked again. Closing it leaves the replay to its end. */
static void take_turn(struct kj__replays *replays, struct kj__replay *replay, size_t *left)
{
    struct kj_session *session = replay->session;
    struct kj__connection *connection = &session->connection;
    const struct kj__recent *recent = &replays->recent;
    if (session->is_in_error || connection->state != KJ__CONNECTION_OPEN) {
        return; /* until it sends a good config; or for good */
    }
    /* A config brings it here whether or not it reads: then notices would pile up. */
    bool has_room = kj__connection_has_ample_room(connection, 0);
    size_t looked_at = 0;
    connection->waits_for_room = false; /* what is sent here may drain it */
    if (has_room && replay->next < recent->first) {
        skip_lost(replay);
    }
    while (has_room && replay->next <= recent->last && looked_at < TURN_EVENTS &&
           connection->state == KJ__CONNECTION_OPEN) {
        has_room = feed(replays, replay);
        looked_at++;
    }
    looked_at += looked_at == 0;
    *left -= looked_at < *left ? looked_at : *left;
    if (connection->state != KJ__CONNECTION_OPEN) {
        return;
    }
    if (has_room && replay->next <= recent->last) {
        kj__list_append(&replays->ready, &replay->link);
    } else if (!has_room || !kj__connection_has_ample_room(connection, 0)) {
        connection->waits_for_room = true;
    } else if (replay->next > recent->last + 1) {
        kj__list_append(&replays->ahead, &replay->link);
    } else {
        join_the_others(replay);
    }
}

static void run(struct kj__chore *chore, struct kj__shard *shard)
{
    struct kj__replays *replays = KJ__CONTAINER_OF(chore, struct kj__replays, chore);
    size_t left = ROUND_EVENTS;
    while (left > 0 && !kj__list_is_empty(&replays->ready)) {
        struct kj__replay *replay = KJ__CONTAINER_OF(replays->ready.next, struct kj__replay, link);
        kj__list_unlink(&replay->link);
        take_turn(replays, replay, &left);
    }
    if (!kj__list_is_empty(&replays->ready)) {
        kj__shard_run_next(shard, chore);
    }
}

/* ---- a shard ---- */

bool kj__replays_init(struct kj__replays *replays, struct kj__events *events,
                      struct kj__shard *shard)
{
    const struct kj_limits *limits = events->options.limits;
    *replays = (struct kj__replays){.events = events, .shard = shard, .chore.run = run};
    kj__wheel_entry_init(&replays->chore.entry);
    kj__list_init(&replays->ready);
    kj__list_init(&replays->ahead);
    return kj__recent_init(&replays->recent, limits->resume_events, limits->resume_bytes);
}

void kj__replays_fini(struct kj__replays *replays)
{
    kj__recent_fini(&replays->recent);
}

void kj__replays_keep(struct kj__replays *replays, struct kj__message *message)
{
    kj__recent_add(&replays->recent, message);
}

void kj__replays_catch_up(struct kj__replays *replays)
{
    while (!kj__list_is_empty(&replays->ahead)) {
        kj__replay_go_on(KJ__CONTAINER_OF(replays->ahead.next, struct kj__replay, link)->session);
    }
}
