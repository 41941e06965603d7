/* position.h - what clients that asked for places are told of theirs: where they may go on.
 *
 * A client knows the place of the last event it had. One that has had none yet goes by the
 * handshake's answer. One whose events are rare falls behind while others' go by, until what is
 * behind its place is no longer kept, although nothing of that was for it. So from time to time,
 * when a ping is due and when it has come back, it is told the shard's latest place: everything
 * of its own up to there is ahead of this message on its socket. Nothing is noted for each event
 * and session to find out who needs it: a session that was told nothing for as many events as
 * make up a quarter of those kept is told, and events it had meanwhile do not matter.
 *
 * Threads: the shard's, but for the handshake's.
 */
#ifndef KJ_DISPATCH_POSITION_H
#define KJ_DISPATCH_POSITION_H

#include "delivery/session.h"
#include "dispatch/message.h"

/* What the session was told last; it has `wants_seq`. [its shard; any thread before its socket] */
void kj__position_format(const struct kj_session *session, char seq[KJ__SEQ_SIZE]);

/* Tells any session of the events its place, where it is far behind what is kept and nothing stands
 * between the two. */
void kj__position_tell(struct kj_session *session);

#endif
