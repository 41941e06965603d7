/* handlers.h - where an application decides: who gets in, what is published, who gets what.
 *
 * Each handler is a struct of functions with a `void *ctx` last. A NULL entry has the
 * default its comment gives. No lock of the library is held during a call.
 */
#ifndef KUJATA_HANDLERS_H
#define KUJATA_HANDLERS_H

#include <kujata/context.h>
#include <kujata/error.h>
#include <kujata/event.h>
#include <kujata/session.h>
#include <stdbool.h>
#include <stdint.h>

enum kj_auth {
    KJ_AUTH_CONTINUE = 0, /* ask the next of the chain; at its end: accept */
    KJ_AUTH_ACCEPT,       /* accept, ask no further */
    KJ_AUTH_REFUSE,       /* refuse, ask no further; so is any other value */
};

/* Runs before a websocket handshake is answered, on an HTTP worker. A refusal is a 401
 * whose description is `error->text` when set. */
struct kj_session_authenticator {
    enum kj_auth (*authenticate)(struct kj_session *session, struct kj_error *error, void *ctx);
    void *ctx;
};

/* Runs before each REST call, on its worker. A refusal is a 401, unless kj_context_fail set an
 * error: that is the answer then, and refuses whatever the function returns. */
struct kj_request_authenticator {
    enum kj_auth (*authenticate)(struct kj_context *context, void *ctx);
    void *ctx;
};

/* Runs after the authenticators. A refusal is a 403, with the same exception. */
struct kj_authorizer {
    enum kj_auth (*authorize)(struct kj_context *context, void *ctx);
    void *ctx;
};

struct kj_dispatch_handler {
    /* HTTP worker, after the authenticators; false refuses with a 403 whose description is
     * `error->text` when set. Default: true. */
    bool (*on_session_init)(struct kj_session *session, struct kj_error *error, void *ctx);

    /* Shard thread, after the 101 and after the session ended. Every start has its stop, which is
     * never called from within another of these. */
    void (*on_session_start)(struct kj_session *session, void *ctx);
    void (*on_session_stop)(struct kj_session *session, void *ctx);

    /* Backend thread, once per event and node. *summary goes to should_dispatch and then,
     * once every shard is done and no longer keeps the event for sessions that come back, to
     * free_summary, on any thread. A failure drops the event, counted.
     * Default: no summary. */
    enum kj_status (*summarize_event)(const struct kj_event *event, void **summary, void *ctx);
    void (*free_summary)(void *summary, void *ctx);

    /* Backend thread, once per event: names whose filters let this identity pass too, NULL
     * at the end, static or living as long as the handler. Default: what the model says. */
    const char *const *(*related_identities)(const char *identity, void *ctx);

    /* Shard thread, once per event and session that passed the filter. Must not block: it
     * holds up every session of the shard. Default: true. */
    bool (*should_dispatch)(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx);
    void *ctx;
};

/* What became of a REST call, of a handshake, or of a token that came later. */
struct kj_audit_outcome {
    int status;              /* of the answer; 101: the session may start; of a token that came
                              * later 200 or 401 */
    const char *error_title; /* of the first error; NULL: there is none */
    uint64_t duration_us;    /* from the parsed head to the answer, before it is sent */
};

/* Told once of every REST call that came as far as the authenticators, whatever became of it, and
 * of every handshake that came as far as theirs; on its HTTP worker, before the answer leaves. And
 * of every token that they looked at later, in a push config or a message of a client of gateway.h:
 * on the thread they ran on, with what they have set on a copy of the session.
 * Anything but KJ_OK is counted and logged as a lost record. Default: nobody is told. */
struct kj_auditor {
    enum kj_status (*audit)(const struct kj_context *context,
                            const struct kj_audit_outcome *outcome, void *ctx);
    enum kj_status (*audit_session)(const struct kj_session *session,
                                    const struct kj_audit_outcome *outcome, void *ctx);
    void *ctx;
};

/* Health listener's threads: whether the node is fit to go on. False makes "/" answer 500, with
 * `error->text`. Default: true. */
struct kj_health_handler {
    bool (*is_healthy)(struct kj_error *error, void *ctx);
    void *ctx;
};

/* The thread of kj_server_start, once the server listens, and that of kj_server_stop, before it
 * refuses anything. on_start says no with false: kj_server_start stops what it started and
 * returns KJ_EREFUSED with the handler's `error`. Every start that succeeded has its stop.
 * Default: true. */
struct kj_life_handler {
    bool (*on_start)(struct kj_error *error, void *ctx);
    void (*on_stop)(void *ctx);
    void *ctx;
};

/* Runs on the publishing thread for each event; false drops it, counted. */
struct kj_publish_handler {
    bool (*should_publish)(const struct kj_event *event, void *ctx);
    void *ctx;
};

#endif
