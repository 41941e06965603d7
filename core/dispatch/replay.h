/* replay.h - sessions that come back and get what they missed: `?resume` and `?since`.
 *
 * Each publication gets the next number of this node where it is decoded, the same for all
 * shards. Events of a session that asked for it tell theirs, behind the name of this run of the
 * server: "<stream>-<number>". Each shard keeps its latest events (recent.h). A session that says
 * where it was is mute until its first push config; then it is fed from these, as its socket
 * takes it and a bounded number of events a round, and is seated among the others where it
 * has caught up. So nothing is lost or doubled between the two: both are done on the shard,
 * between two events.
 *
 * One that says nothing of where it was is fed likewise, from its admission on and without being
 * mute. So what any of them gets is a matter of numbers alone: all from the one on that its
 * handshake is answered with (position.h).
 *
 * A session that cannot be given what it asks for is told so by an error event (410), which
 * brings its new place: had the client the one without the other, it would come back there and
 * never hear of the gap. Then it is like one that said nothing: it gets what was published since
 * it was admitted. Where nothing is kept it is not mute either, since nothing could be given to
 * it later.
 *
 * Threads: the shard's, but for the preparation.
 */
#ifndef KJ_DISPATCH_REPLAY_H
#define KJ_DISPATCH_REPLAY_H

#include "delivery/delivery.h"
#include "delivery/session.h"
#include "dispatch/recent.h"

#include <kujata/server.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__events;

enum { KJ__STREAM_SIZE = 17 }; /* of its name, with the terminator */

enum kj__replay_fault {
    KJ__REPLAY_FINE = 0,
    KJ__REPLAY_MALFORMED,
    KJ__REPLAY_OFF, /* nothing is kept here */
    KJ__REPLAY_OTHER_STREAM,
    KJ__REPLAY_AHEAD,
    KJ__REPLAY_TOO_OLD,
};

/* A session that is not seated yet. */
struct kj__replay {
    struct kj__list link; /* in one of the shard's lists; unlinked: it waits for something else */
    struct kj_session *session;
    enum kj__replay_fault fault;
    uint64_t next;    /* the number of the event to look at next */
    uint64_t opening; /* of the first event after it was admitted */
    bool is_new;      /* it did not say where it was */
    bool has_begun;   /* there was a good push config, or it is new and has its socket */
    bool is_admitted; /* the next event is for this session; it waits for room */
};

/* Those of one shard. */
struct kj__replays {
    struct kj__events *events;
    struct kj__shard *shard;
    struct kj__chore chore;
    struct kj__recent recent;
    struct kj__list ready; /* of kj__replay.link: to be fed */
    struct kj__list ahead; /* of the same: they have had what is still to reach this shard */
};

/* False when there is no memory. */
bool kj__replays_init(struct kj__replays *replays, struct kj__events *events,
                      struct kj__shard *shard);
void kj__replays_fini(struct kj__replays *replays);

/* Before and after the shard's sessions were given a message. */
void kj__replays_keep(struct kj__replays *replays, struct kj__message *message);
void kj__replays_catch_up(struct kj__replays *replays);

/* Reads what the URL, whose query this is, says of it, and where it begins: right before the
 * announcement. False when there is no memory.
 *                                                                      [an HTTP worker] */
bool kj__replay_prepare(struct kj__events *events, struct kj_session *session, const char *query);

/* Whether the session, which has no socket yet, is to be fed later from what is kept. */
bool kj__replay_waits(const struct kj_session *session);

/* What the session's shard keeps. */
const struct kj__recent *kj__replay_recent(const struct kj_session *session);

/* Where the session has a replay: the socket is there, which may end the replay; there is a good
 * push config, or room again; the session has closed; its memory goes. */
void kj__replay_open(struct kj_session *session);
void kj__replay_begin(struct kj_session *session);
void kj__replay_go_on(struct kj_session *session);
void kj__replay_end(struct kj_session *session);
void kj__replay_free(struct kj_session *session); /* [any thread] */

#endif
