/* gateway.h - the whole of it on one node: what is mounted, who is there, what is published.
 *
 * A topic works as an interest does in dispatch/: it is node-wide, and each shard has a row of its
 * own clients, as one audience for each form that pushes are needed in. The first client of a
 * topic on the node subscribes to it on the backend; when the last has left, the subscription
 * lingers for a while, lest a page that is loaded again makes the broker work.
 *
 * Lock order: a topic's number (sequence.h), `lock`, then the backend's own. `lock` is held while
 * subscribing, and never while a handler runs or a job is posted.
 */
#ifndef KJ_GATEWAY_GATEWAY_H
#define KJ_GATEWAY_GATEWAY_H

#include "base/counters.h"
#include "base/map.h"
#include "base/rate.h"
#include "delivery/delivery.h"
#include "delivery/session.h"
#include "gateway/broadcast.h"
#include "gateway/home.h"
#include "gateway/push.h"
#include "gateway/sequence.h"
#include "gateway/workers.h"

#include <kujata/gateway.h>
#include <kujata/pubsub.h>
#include <pthread.h>
#include <stdatomic.h>

enum { KJ__BATCH_MAX = 1000 /* pushes of one batch */ };
enum { KJ__MOUNTS_MAX = 16, KJ__FORMS_MAX = 32 };

struct kj__topic;

/* All borrowed, for as long as the gateway lives. */
struct kj__gateway_options {
    struct kj__delivery *delivery;
    struct kj_pubsub *pubsub;
    struct kj__counters *counters;
    const char *prefix; /* of the topics on the backend */
    uint32_t topics;    /* at most */
    uint32_t linger_ms;
    const char *token_cookie;       /* see kj_session_token; NULL: none */
    const struct kj_limits *limits; /* every default filled in */
    /* Asks the server's session authenticators for a token that came in a message, and tells the
     * auditor; NULL: there are none. [a thread that may wait] */
    bool (*authenticate)(struct kj_session *session, struct kj_error *error, void *ctx);
    uint32_t threads; /* that may wait, for it and for works of clients */
    void (*give_place)(const char *remote_address, void *ctx); /* of one client, which is gone */
    void *ctx;
};

/* A protocol at its path or address. */
struct kj__mount {
    struct kj_gateway *gateway;
    struct kj_protocol protocol; /* every default filled in */
    struct kj__endpoint endpoint;
    struct kj__rate message_rate;
    size_t first_form;
    bool is_stream;
    uint32_t places;              /* of a stream: connections at most; 0: no limit of its own */
    _Atomic uint32_t places_left; /* with such a limit */
};

/* How pushes are needed: as an encoding of a protocol. */
struct kj__form {
    struct kj__mount *mount;
    unsigned encoding;
};

/* What a shard keeps; that shard's to touch. */
struct kj__gateway_side {
    struct kj__shard *shard;
    size_t index;
    struct kj__list empty;     /* rows to free when nothing goes through them */
    struct kj__list ended;     /* memberships to free when nobody looks at their seats */
    struct kj__list waiting;   /* lots whose batch waits for the end of its window */
    struct kj__chore farewell; /* what waits goes out before the node stops */
    struct kj__broadcast broadcast;
};

struct kj_gateway {
    struct kj__gateway_options options;
    uint32_t node;
    bool is_started;
    struct kj__mount *mounts[KJ__MOUNTS_MAX];
    size_t mount_count;
    struct kj__form forms[KJ__FORMS_MAX];
    size_t form_count;
    struct kj__slab clients_slab;
    struct kj__gateway_side *sides; /* one for each shard */
    struct kj__sequences sequences;
    _Atomic uint64_t last_push, last_client;
    struct kj_subscription *node_subscription; /* of pushes to sessions of this node */
    struct kj__workers workers;
    struct kj__workers outside; /* the same for what waits for somebody else's server */
    _Atomic bool is_closed;     /* nothing is published any more */
    _Atomic bool has_mark;      /* a mark has come back */

    pthread_mutex_t lock;
    pthread_cond_t changed;   /* something for the keeper */
    struct kj__map clients;   /* guarded by lock, as is all below: by the text of their IDs */
    struct kj__map addresses; /* how many clients each has, as a pointer */
    struct kj__map topics;    /* by their words */
    struct kj__list occupied[KJ_TOPIC_KIND_COUNT]; /* of kj__topic_stop: those with clients */
    struct kj__list lingering; /* topics without clients, the first to go first */
    struct kj__list ending;    /* clients to be closed, a reference each */
    struct kj__home home;
    struct kj__list later; /* what the keeper is to do in a while */
    size_t user_count, room_count;
    int64_t last_login_ms;
    bool is_stopping;
    bool has_keeper;
    pthread_t keeper;
};

/* The options are copied. KJ_ENOMEM. */
enum kj_status kj__gateway_new(const struct kj__gateway_options *options,
                               struct kj_gateway **gateway);

/* Before the start; `stream` is NULL for websockets. KJ_EINVAL with `error` filled, KJ_ELIMIT or
 * KJ_ENOMEM. */
enum kj_status kj__gateway_mount(struct kj_gateway *gateway, const struct kj_protocol *protocol,
                                 const struct kj_stream_options *stream, struct kj__mount **mount,
                                 struct kj_error *error);

enum kj_status kj__gateway_start(struct kj_gateway *gateway);

/* Nothing is published from now on; waits for the authenticators. Before the delivery stops. */
void kj__gateway_stop(struct kj_gateway *gateway);

/* Once the delivery is stopped, and before it is freed. NULL is fine. */
void kj__gateway_free(struct kj_gateway *gateway);

/* For the keeper: does what is due; lock held, but while something is done. */
void kj__gateway_run_later(struct kj_gateway *gateway, uint64_t now_ms);

/* When something will be due; UINT64_MAX: nothing. Lock held. */
uint64_t kj__gateway_next_later(const struct kj_gateway *gateway);

/* Forgets what was to be done. */
void kj__gateway_drop_later(struct kj_gateway *gateway);

/* Publishes what is said from node to node; counts what fails. `words` are those of the topic. */
enum kj_status kj__gateway_say(struct kj_gateway *gateway, const char *words,
                               const struct kj__push_parts *parts);

/* Publishes a mark to this node; not counted. As kj_pubsub_publish. */
enum kj_status kj__gateway_mark(struct kj_gateway *gateway);

/* Posts a push, whose reference it takes, to a topic or to one client.
 *                                                              [any thread but a shard's] */
void kj__gateway_post(struct kj_gateway *gateway, struct kj_push *push, struct kj__topic *topic,
                      struct kj_client *client);

/* The handler of a topic's subscription; `ctx` is the topic.       [a thread of the backend] */
void kj__gateway_on_publication(struct kj_publication *publication, void *ctx);

#endif
