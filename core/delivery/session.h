/* session.h - a subscriber of /events; what users see of it is in kujata/session.h.
 *
 * Made by one HTTP worker at the handshake, which hands it to a shard; never touched by two
 * threads at once.
 */
#ifndef KJ_DELIVERY_SESSION_H
#define KJ_DELIVERY_SESSION_H

#include "base/claims.h"
#include "base/fields.h"
#include "base/id.h"
#include "base/slab.h"
#include "codec/certificate.h"
#include "delivery/connection.h"

#include <kujata/push_config.h>
#include <kujata/session.h>
#include <stdbool.h>
#include <stdint.h>

struct kj__interest;
struct kj__message;
struct kj__replay;

struct kj_session {
    struct kj__connection connection; /* first: the shard knows it as this */
    char id[KJ__UUID_SIZE];
    bool wants_errors;     /* the URL has enableErrors */
    bool is_in_error;      /* a bad push config came last: no events until a good one */
    bool has_pushed_token; /* a push config brought the parameter "token" */
    bool has_query;        /* configs changed the parameters */
    bool has_place;        /* counts against the limits of sessions */
    bool wants_seq; /* its events tell their numbers, and it gets them by these, not by time */
    bool is_answered_place; /* the answer to its handshake tells where it begins */
    bool is_renewing;       /* the authenticators look at its token */
    bool wants_renewal;     /* another came meanwhile */
    _Atomic bool is_open;   /* between on_open and on_closed, or what makes it wait for its end */
    enum kj_encoding read_encoding, write_encoding;
    int64_t start_ns;
    char *remote_address;
    struct kj__packed_fields *parameters, *headers, *cookies;
    struct kj__packed_fields *query;     /* with has_query: the parameters of the URL */
    struct kj__certificate *certificate; /* a reference; NULL: none */
    struct kj__claims claims;
    uint64_t credential;             /* what it was let in by; 0: nothing that can be ended */
    struct kj__list credential_link; /* among those let in by the same; see credential_index.h */
    void *data;
    void (*release_data)(void *data);
    bool has_callers_data;         /* an authenticator has set it, so it goes with the credential */
    struct kj__seat seat;          /* among those who asked for the same events */
    struct kj__interest *interest; /* what it asked for; the protocol's reference */
    /* Messages published between the announcement and the socket: references. */
    struct kj__message **held;
    struct kj__replay *replay; /* the protocol's; NULL: none, or it has caught up */
    uint64_t told;             /* with wants_seq: the number it was told it has everything up to */
    uint32_t held_count;
    /* Events dropped for want of room that the client was not told of, and when the first was. */
    uint32_t dropped;
    int64_t dropped_since_ns;
};

/* What a handshake brings; borrowed. */
struct kj__session_origin {
    const struct kj__fields *headers;
    const char *query;
    const char *remote_address;
    struct kj__certificate *certificate; /* the client's; NULL: none */
    enum kj_encoding read_encoding, write_encoding;
};

/* A prepared session of a slab of them, with one reference for the caller; NULL when there is no
 * memory. */
struct kj_session *kj__session_new(struct kj__slab *slab, struct kj__delivery *delivery,
                                   const struct kj__endpoint *endpoint,
                                   const struct kj__session_origin *origin);

/* A copy for authenticators to look at, with the parameters as they are now, without claims and
 * data; it is never opened. NULL when there is no memory. */
struct kj_session *kj__session_stand_in(struct kj__slab *slab, const struct kj_session *session);

/* What the authenticators have set on the copy is the session's now. On the session's shard. */
void kj__session_take_over(struct kj_session *session, struct kj_session *stand_in);

/* Frees what these two made; for the protocol's release. */
void kj__session_free(struct kj__slab *slab, struct kj_session *session);

static inline struct kj_session *kj__session_of(struct kj__connection *connection)
{
    return (struct kj_session *)connection;
}

/* Bytes of all parameters of a session, names and terminators included: what configs bring is
 * never forgotten, so it must end somewhere. */
enum { KJ__SESSION_PARAMETERS_MAX = 32 * 1024 };

/* A session's parameters as a config would leave them. */
struct kj__session_parameters {
    struct kj__packed_fields *packed; /* freed with free(), unless it was set */
    bool is_changed;                  /* the config has parameters: it is not what there is */
    bool has_token;
    bool is_new_token; /* it is not the one the session has */
};

/* KJ_ELIMIT or KJ_ENOMEM. */
enum kj_status kj__session_merge_parameters(const struct kj_session *session,
                                            const struct kj_push_config *config,
                                            struct kj__session_parameters *merged);

void kj__session_set_parameters_take(struct kj_session *session,
                                     const struct kj__session_parameters *merged);

#endif
