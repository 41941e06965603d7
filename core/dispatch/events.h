/* events.h - the /events protocol and the dispatcher that feeds it.
 *
 * A publication comes in on the backend's thread, is decoded and summarised once, and goes as
 * one message to each shard, which decides for each of its sessions: start time, filter with
 * related identities, should_dispatch. So the events of one publisher reach every session in
 * the order published.
 */
#ifndef KJ_DISPATCH_EVENTS_H
#define KJ_DISPATCH_EVENTS_H

#include "base/fields.h"
#include "base/map.h"
#include "delivery/delivery.h"
#include "delivery/session.h"
#include "dispatch/endings.h"
#include "dispatch/renewal.h"
#include "dispatch/replay.h"
#include "dispatch/roster.h"
#include "dispatch/strikes.h"

#include <kujata/error.h>
#include <kujata/handlers.h>
#include <kujata/pubsub.h>
#include <kujata/server.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* All borrowed, for as long as the events live. */
struct kj__events_options {
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj__counters *counters;
    const struct kj_model *model; /* NULL: every identity is unknown */
    const char *topic;
    bool subject_hierarchies;
    const char *node_prefix; /* see endings.h; NULL: none */
    const struct kj_dispatch_handler *dispatch;
    const struct kj_publish_handler *publish;
    const struct kj_session_authenticator *authenticators;
    size_t authenticator_count;
    uint32_t renewal_threads; /* authenticators that look at new tokens at a time */
    const struct kj_auditor *audit;
    const char *token_cookie; /* NULL: none */
    const char *const *allowed_origins;
    const struct kj_limits *limits; /* every default filled in; resume_events 0: none are kept */
    enum kj_queue_policy queue_policy;
};

struct kj__events {
    struct kj__events_options options;
    struct kj__endpoint endpoint;
    struct kj__slab sessions_slab;
    struct kj__interests interests;
    struct kj__interest *everything; /* of sessions that named no identity */
    struct kj__roster *rosters;      /* one for each shard */
    struct kj__replays *replays;     /* likewise */
    char stream[KJ__STREAM_SIZE];    /* this run's name */
    _Atomic uint64_t last_number;    /* of a publication; written by the backend's thread */
    struct kj_subscription *subscription;
    struct kj__endings endings;
    struct kj__renewals renewals;
    struct kj__strikes strikes;
    _Atomic uint64_t sessions; /* prepared and open, against limits->sessions */
    pthread_mutex_t addresses_lock;
    struct kj__map addresses; /* guarded by it: remote address to a count, as a pointer */
    _Atomic bool is_closed;   /* no new sessions */
};

/* Subscribes with kj__events_start. KJ_ENOMEM. */
enum kj_status kj__events_init(struct kj__events *events, const struct kj__events_options *options);
enum kj_status kj__events_start(struct kj__events *events);

/* Refuses handshakes and new tokens from now on. */
void kj__events_close(struct kj__events *events);

/* Waits for the authenticators, then for publications under way to reach the shards, at most
 * `timeout_ms`, then ends the subscription. */
void kj__events_stop(struct kj__events *events, uint32_t timeout_ms);

/* Once the delivery is stopped, and before it is freed. */
void kj__events_fini(struct kj__events *events);

/* Asks the publish handler, hides what secrets are left, encodes and publishes. Never blocks;
 * counts what fails.                                                                [any thread] */
enum kj_status kj__events_publish(struct kj__events *events, const struct kj_event *event);

/* ---- the handshake, on an HTTP worker ---- */

struct kj__handshake {
    const struct kj__fields *headers;
    const char *query;
    const char *remote_address;
    struct kj__certificate *certificate; /* the client's; NULL: none */
};

/* Why a handshake is refused, in the shape of the answer. */
struct kj__refusal {
    struct kj_api_error error;
    enum kj_encoding encoding; /* the client's, where its Accept was understood */
    struct kj_error text;      /* holds the description */
};

/* What every websocket is asked, whatever it speaks: encodings, Origin, the limits of sessions.
 * After true it has a place, which kj__events_give_place (protocol.h) takes back. */
bool kj__events_admit(struct kj__events *events, const struct kj__handshake *handshake,
                      struct kj__session_origin *origin, struct kj__refusal *refusal);

/* The same of a stream, which has nothing but its address. */
bool kj__events_admit_stream(struct kj__events *events, const char *remote_address,
                             struct kj__refusal *refusal);

/* Fills a refusal, with one line of text; returns false. */
bool kj__events_refuse(struct kj__refusal *refusal, int code, const char *title,
                       const char *subject, const char *description);

/* The refusal of a session the authenticators would not have: their text is in it already.
 * Counted and logged; returns false. */
bool kj__events_refuse_token(struct kj__events *events, const struct kj_session *session,
                             struct kj__refusal *refusal);

/* Tells the auditor how a handshake ended; `error` is NULL where it was accepted. */
void kj__events_audit(const struct kj__events *events, const struct kj_session *session,
                      const struct kj_api_error *error, int64_t started_ns);

/* Checks, authenticates and announces a session; the caller has one reference and owes
 * kj__connection_attach or kj__connection_abandon. NULL with `refusal` filled. */
struct kj_session *kj__events_prepare(struct kj__events *events,
                                      const struct kj__handshake *handshake,
                                      struct kj__refusal *refusal);

#endif
