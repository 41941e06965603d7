/* roster.h - a shard's open sessions by what they asked for: who is concerned by an event.
 *
 * A row is one interest with its sessions, as one audience for each encoding. Rows are found by
 * the identities they name, and by the value that an attribute filter wants a member to have: so an
 * event costs what it concerns, not what is connected.
 *
 * Threads: the shard's.
 */
#ifndef KJ_DISPATCH_ROSTER_H
#define KJ_DISPATCH_ROSTER_H

#include "base/list.h"
#include "base/map.h"
#include "delivery/session.h"
#include "dispatch/interest.h"
#include "dispatch/message.h"
#include "dispatch/row_index.h"

struct kj__row {
    struct kj__interest *interest; /* a reference */
    struct kj__audience audiences[KJ_ENCODING_COUNT];
    struct kj__audience
        *numbered;              /* as many, of sessions whose events have `seq`; NULL: none yet */
    int64_t newest_start_ns;    /* of any session it had: an older event is not for all of them */
    uint64_t seen;              /* the serial of the last message held against it */
    bool most_hear;             /* of sessions that were asked about the last message */
    struct kj__list empty_link; /* in the roster's list of rows without sessions */
};

/* The rows that name one identity. */
struct kj__row_set {
    struct kj__row **rows; /* that must be asked for each event; the others are in `keyed` */
    size_t count, capacity;
    struct kj__row_index keyed;
};

struct kj__roster {
    struct kj__shard *shard;
    size_t index;                     /* of the shard */
    struct kj__interest *everything;  /* borrowed: of sessions that named no identity */
    struct kj__row_set of_everything; /* its row */
    struct kj__map by_identity;       /* of struct kj__row_set */
    struct kj__list empty;            /* rows to free when nothing goes through them */
};

void kj__roster_init(struct kj__roster *roster, struct kj__shard *shard, size_t index,
                     struct kj__interest *everything);

/* Without sessions. */
void kj__roster_fini(struct kj__roster *roster);

/* Seats an open session by its interest. False when there is no memory. */
bool kj__roster_enter(struct kj__roster *roster, struct kj_session *session);

/* What an open session is to get already still goes to it. Before its interest changes and when
 * it has closed; one that is not seated is fine. */
void kj__roster_leave(struct kj__roster *roster, struct kj_session *session);

/* Gives the message to every session it concerns. */
void kj__roster_deliver(struct kj__roster *roster, struct kj__message *message);

#endif
