/* server.h - a node: REST, push and the way between them.
 *
 * kj_server_new checks the options and copies them; model, pubsub, processors' contexts and
 * handlers' contexts are borrowed and must outlive the server.
 */
#ifndef KUJATA_SERVER_H
#define KUJATA_SERVER_H

#include <kujata/announce.h>
#include <kujata/counter.h>
#include <kujata/error.h>
#include <kujata/event.h>
#include <kujata/handlers.h>
#include <kujata/http_policy.h>
#include <kujata/model.h>
#include <kujata/processor.h>
#include <kujata/pubsub.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_server;

/* What happens to an event for a session whose queue is full. Each drop is counted. */
enum kj_queue_policy {
    KJ_QUEUE_DROP_NEWEST = 0,
    KJ_QUEUE_DROP_OLDEST,
    KJ_QUEUE_DISCONNECT, /* close code 1008 */
};

/* How events reach the sockets. */
enum kj_io {
    KJ_IO_AUTO = 0, /* io_uring where the kernel allows it and the build has liburing */
    KJ_IO_EPOLL,
    KJ_IO_URING, /* or the server cannot be made: KJ_EUNSUPPORTED */
};

/* Whether clients show a certificate of tls_client_ca. One that is shown must be good. */
enum kj_client_certificate {
    KJ_CLIENT_CERTIFICATE_DEFAULT = 0, /* required where tls_client_ca is set, else none */
    KJ_CLIENT_CERTIFICATE_NONE,
    KJ_CLIENT_CERTIFICATE_OPTIONAL,
    KJ_CLIENT_CERTIFICATE_REQUIRED,
};

/* Zero means the default given. */
struct kj_limits {
    uint32_t body_bytes;             /* of a request; 1 MiB; over it: 413 */
    uint32_t message_bytes;          /* of one inbound websocket message; 64 KiB; 1009 */
    uint32_t message_fragments;      /* of one message; 1,024; 1008 */
    uint32_t session_queue_bytes;    /* waiting for one session; 1 MiB */
    uint32_t session_queue_messages; /* 4,096 */
    uint32_t sessions;               /* in all; 100,000; over it: 503 */
    uint32_t sessions_per_address;   /* 0: no limit */
    uint32_t handshakes;             /* connections without a whole request; 0: by descriptors */
    uint32_t handshakes_per_address; /* 16,384 */
    uint32_t head_timeout_ms;        /* for a complete request head; 5,000 */
    uint32_t keep_alive_ms;          /* for the next request of a connection; 2,000 */
    uint32_t exchange_timeout_ms;    /* for a body to arrive, and for an answer to leave; 30,000 */
    uint32_t ping_interval_ms;       /* 15,000 */
    uint32_t pong_timeout_ms;        /* since the last pong; 30,000; longer than the interval */
    uint32_t write_stall_ms;         /* without a byte leaving; 10,000 */
    uint32_t close_timeout_ms;       /* for the peer's part of a close; 2,000 */
    uint32_t drain_timeout_ms;       /* for queued events at stop; 5,000 */
    uint32_t page_objects; /* of one list; 10,000; X-Next leads on; a larger pagesize: 400 */
    uint32_t page_bytes;   /* of their JSON text; 16 MiB; X-Next leads on; 400 for a page */
    /* Answers kept for writes that come again with their Idempotency-Key. */
    uint32_t idempotency_answers;    /* 10,000 */
    uint32_t idempotency_bytes;      /* 16 MiB */
    uint32_t idempotency_age_ms;     /* 600,000 */
    uint32_t idempotency_wait_ms;    /* for an equal write that still runs; 2,000; then 409 */
    uint32_t bad_config_wait_ms;     /* before a bad push config ends its session, when it is not
                                      * the address's first, and twice as long each time; 1,000 */
    uint32_t bad_config_wait_max_ms; /* and no longer than this; 10,000 */
    /* Events that each shard keeps for sessions that come back. */
    uint32_t resume_events; /* 1,024; at most 16,777,216 */
    uint32_t resume_bytes;  /* with their frames; 4 MiB */
};

struct kj_server_options {
    const char *listen;           /* "ADDR:PORT" or "[ADDR]:PORT"; port 0 picks one;
                                   * NULL: "127.0.0.1:8080" */
    const char *listen_unix;      /* the path of a socket to listen at besides; NULL: none */
    const struct kj_model *model; /* required */
    struct kj_pubsub *pubsub;     /* NULL: no push, no /events */
    const char *topic;            /* of events; NULL: "events" */
    /* Events travel on TOPIC.IDENTITY.TYPE instead of TOPIC, and nodes hear TOPIC.>: all nodes of
     * a topic or none. Names of identities and types are then single words. */
    bool subject_hierarchies;
    const char *push_endpoint; /* NULL: "/events" */
    uint32_t shards;           /* 0: one per core */
    uint32_t http_threads;     /* 0: 32 */
    struct kj_limits limits;
    enum kj_queue_policy queue_policy;
    enum kj_io io;
    bool ignore_idempotency_keys; /* Idempotency-Key means nothing */
    bool no_resume;               /* no events are kept for sessions that come back */

    /* PEM files: with a certificate (its chain behind it) the server speaks TLS, 1.2 or later,
     * and nothing else. tls_key NULL: in the same file. Read again by kj_server_reload_tls. */
    const char *tls_certificate, *tls_key, *tls_client_ca;
    enum kj_client_certificate tls_client_certificate;

    /* Origins a browser may connect from besides the server's own ("https://host[:port]"),
     * NULL at the end; "*" allows every one. NULL: only its own. */
    const char *const *allowed_origins;

    const struct kj_session_authenticator *session_authenticators;
    size_t session_authenticator_count;
    uint32_t renewal_threads; /* that run them again for new tokens; 0: 4 */

    const struct kj_request_authenticator *request_authenticators;
    size_t request_authenticator_count;
    const struct kj_authorizer *authorizers;
    size_t authorizer_count;

    /* Where a credential may be besides `Authorization: Bearer`: see kj_context_token. */
    const char *token_cookie; /* the cookie's name; NULL: none */
    bool token_in_query;      /* in the query of REST calls too; sessions may always */
    struct kj_auditor audit;  /* zero: nobody is told */

    /* What the application's own parts count, shown with the server's counters. Zero: nothing. */
    struct kj_counter_source counter_source;
    /* Of what kj_server_mount mounts (gateway.h). */
    const char *gateway_prefix; /* of its topics on the backend: nodes with the same one are one,
                                  * also without anything mounted, for kj_server_end_sessions;
                                  * NULL: "gateway" */
    uint32_t gateway_topics;    /* rooms and users of this node; 0: 262,144; beyond: KJ_ELIMIT */
    uint32_t gateway_linger_ms; /* a topic is heard on after its last client left; 0: 5,000 */
    uint32_t gateway_threads;   /* for what a client's shard must not wait for; 0: 8; at most 256 */

    /* The health listener's "ADDR:PORT"; NULL: none. See docs/metrics.md. */
    const char *health_listen;
    struct kj_health_handler health; /* zero: a node that runs is healthy */

    /* Where an application's own servers ask: "ADDR:PORT"; NULL: nowhere. It has the routes of
     * KJ_LISTENER_API (route.h) and nothing else, and speaks TLS where `listen` does. Who asks
     * shows one of api_keys (NULL at the end) as `Authorization: Bearer`; with api_open, and no
     * keys, nobody has to. One of the two must be given. */
    const char *api_listen;
    const char *const *api_keys;
    bool api_open;

    /* The parameters recursive, propagated and override mean what they say: false, no and 0 are
     * false. Else any value is true. None is true either way. */
    bool strict_flags;

    struct kj_http_policy http;          /* zero: every default */
    struct kj_life_handler life;         /* zero: nothing happens */
    struct kj_announce_options announce; /* zero: gateways hear nothing */

    struct kj_dispatch_handler dispatch; /* zero: every default */
    struct kj_publish_handler publish;   /* zero: publish everything */
};

/* KJ_EINVAL with `error` naming the option. */
enum kj_status kj_server_new(const struct kj_server_options *options, struct kj_server **server,
                             struct kj_error *error);

/* Serves `identity` with a copy of `processor`. Before kj_server_start only. KJ_ENOTFOUND for
 * an identity the model lacks, KJ_EEXIST for a second processor. NULL as the identity serves
 * every identity that has none of its own. */
enum kj_status kj_server_register(struct kj_server *server, const char *identity,
                                  const struct kj_processor *processor);

/* Listens. KJ_EIO with `error` naming address and reason. */
enum kj_status kj_server_start(struct kj_server *server, struct kj_error *error);

/* The port listened on, once started. */
uint16_t kj_server_port(const struct kj_server *server);

/* The same of the health listener; 0: there is none. */
uint16_t kj_server_health_port(const struct kj_server *server);

/* The same of the API listener. */
uint16_t kj_server_api_port(const struct kj_server *server);

/* Reads the TLS files again, once started: new connections get what is in them, open ones go
 * on. KJ_EINVAL with `error` naming option and file, logged and counted: what was in force
 * stays. KJ_EUNSUPPORTED for a server without TLS, KJ_ECLOSED for one that is not running.
 *                                                                      [any thread] */
enum kj_status kj_server_reload_tls(struct kj_server *server, struct kj_error *error);

/* Publishes an event on the server's topic, as an automatic one would be. [any thread]
 * KJ_EREFUSED when the publish handler said no, or what kj_pubsub_publish returned. */
enum kj_status kj_server_push(struct kj_server *server, const struct kj_event *event);

/* Refuses writes with 423, but for the identities of read_only_except, or lets them in again;
 * those under way go on.                                               [any thread] */
void kj_server_set_read_only(struct kj_server *server, bool is_read_only);

/* Ends the sessions, and the clients of gateway.h, that a credential has let in
 * (kj_session_set_credential), as if it had run out: at once on this node, and on the others of its
 * gateway_prefix when they hear of it through the backend. How many on this node; that the backend
 * did not take it is counted and logged. Never blocks. 0: none.        [any thread] */
size_t kj_server_end_sessions(struct kj_server *server, uint64_t credential);

/* Stops accepting, flushes what sessions have queued within drain_timeout_ms, closes them
 * with 1001 and waits until no callback runs. Idempotent; a second caller waits for the first.
 * Not from a callback.                                                 [any thread] */
void kj_server_stop(struct kj_server *server);

/* Starts, waits for SIGINT or SIGTERM, stops. Call it from the main thread before others are
 * started: it blocks these signals so that they reach it. */
enum kj_status kj_server_run(struct kj_server *server, struct kj_error *error);

void kj_server_free(struct kj_server *server); /* stops first; NULL is fine */

/* For whoever reads tokens or keys again: counts how that went.        [any thread] */
void kj_server_count_auth_reload(struct kj_server *server, bool was_good);

/* Visits every counter; names are static, in Prometheus style.         [any thread] */
void kj_server_counters(const struct kj_server *server,
                        void (*visit)(const char *name, uint64_t value, void *ctx), void *ctx);

/* One counter by name; 0 when there is none.                           [any thread] */
uint64_t kj_server_counter(const struct kj_server *server, const char *name);

#endif
