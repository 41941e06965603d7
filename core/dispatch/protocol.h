/* protocol.h - how /events speaks: push configs in, events out. Runs on the shards. */
#ifndef KJ_DISPATCH_PROTOCOL_H
#define KJ_DISPATCH_PROTOCOL_H

#include "delivery/session.h"
#include "dispatch/events.h"
#include "dispatch/message.h"

extern const struct kj__protocol kj__events_protocol;

/* Gives a message to the sessions of a shard: at once, or held where the socket is not there
 * yet. */
void kj__events_deliver(struct kj__events *events, struct kj__shard *shard,
                        struct kj__message *message);

/* Decides for one open session whose interest lets the event through, and queues it; whether it is
 * to have it. */
bool kj__events_offer(struct kj_session *session, struct kj__message *message);

/* The two halves of it: whether the session is to have the event, and the frame. */
bool kj__events_admits(struct kj_session *session, struct kj__message *message);
void kj__events_send(struct kj_session *session, struct kj__message *message);

/* Seats an open session by what it asked for. */
void kj__events_enter(struct kj_session *session);

/* Sends an error event, whatever waits for the session. `seq` is the place it is to go on from;
 * NULL: none. */
void kj__events_tell(struct kj_session *session, const struct kj_api_error *error, const char *seq);

/* What the session's events are written as. */
static inline uint32_t kj__session_form(const struct kj_session *session)
{
    return kj__form_of(session->write_encoding, session->wants_seq);
}

/* Asks a chain of authenticators: KJ_AUTH_REFUSE with a reason in `error`, or how it ended.
 *                                                                      [a thread that may wait] */
enum kj_auth kj__events_ask(const struct kj_session_authenticator *authenticators, size_t count,
                            struct kj_session *session, struct kj_error *error);

/* Asks the server's; false with a reason in `error`.   [a thread that may wait] */
bool kj__events_authenticate(struct kj__events *events, struct kj_session *session,
                             struct kj_error *error);

/* The same for a token that came after the handshake, of which the auditor is told; `stand_in` is
 * a copy of the session with that token.               [a thread that may wait] */
bool kj__events_authenticate_later(struct kj__events *events, struct kj_session *stand_in,
                                   struct kj_error *error);

/* Ends a session whose token was refused, with a last error event where it wants one. */
void kj__events_end_unauthorized(struct kj_session *session, const char *reason);

/* The place of a session in the limits; taken at the handshake, given back at its release. */
enum kj_status kj__events_take_place(struct kj__events *events, const char *remote_address);
void kj__events_give_place(struct kj__events *events, const char *remote_address);

#endif
