/* handshake.c - who may start a session; see events.h. Runs on HTTP workers. */
#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/utf8.h"
#include "codec/encoding.h"
#include "dispatch/events.h"
#include "dispatch/protocol.h"

#include <string.h>

enum { SWITCHING_PROTOCOLS = 101, ACCEPTED = 200, UNAUTHORIZED = 401, NS_PER_US = 1000 };

/* ---- places ---- */

static enum kj_status take_address(struct kj__events *events, const char *remote_address)
{
    enum kj_status status = KJ_OK;
    char key[KJ__ADDRESS_KEY_SIZE];
    kj__address_key_format(remote_address, key);
    pthread_mutex_lock(&events->addresses_lock);
    uintptr_t count = (uintptr_t)kj__map_get(&events->addresses, key);
    if (count >= events->options.limits->sessions_per_address) {
        status = KJ_ELIMIT;
    } else if (!kj__map_put(&events->addresses, key, (void *)(count + 1), NULL)) {
        status = KJ_ENOMEM;
    }
    pthread_mutex_unlock(&events->addresses_lock);
    return status;
}

static void give_address(struct kj__events *events, const char *remote_address)
{
    char key[KJ__ADDRESS_KEY_SIZE];
    kj__address_key_format(remote_address, key);
    pthread_mutex_lock(&events->addresses_lock);
    uintptr_t count = (uintptr_t)kj__map_get(&events->addresses, key);
    if (count <= 1) {
        kj__map_remove(&events->addresses, key);
    } else {
        kj__map_put(&events->addresses, key, (void *)(count - 1), NULL);
    }
    pthread_mutex_unlock(&events->addresses_lock);
}

enum kj_status kj__events_take_place(struct kj__events *events, const char *remote_address)
{
    const struct kj_limits *limits = events->options.limits;
    if (atomic_fetch_add(&events->sessions, 1) >= limits->sessions) {
        atomic_fetch_sub(&events->sessions, 1);
        return KJ_ELIMIT;
    }
    enum kj_status status = limits->sessions_per_address ? take_address(events, remote_address)
                                                         : KJ_OK;
    if (status) {
        atomic_fetch_sub(&events->sessions, 1);
    }
    return status;
}

void kj__events_give_place(struct kj__events *events, const char *remote_address)
{
    atomic_fetch_sub(&events->sessions, 1);
    if (events->options.limits->sessions_per_address) {
        give_address(events, remote_address);
    }
}

/* ---- checks ---- */

/* What an application has written into a text as it liked becomes one line of UTF-8. */
static void tidy(struct kj_error *error)
{
    struct kj_error raw = *error;
    raw.text[sizeof raw.text - 1] = '\0';
    kj_error_set(error, raw.position, "%s", raw.text);
    size_t len = strlen(error->text);
    for (size_t i = 0; i < len;) {
        size_t character = kj__utf8_character((const uint8_t *)error->text + i, len - i);
        if (character == 0) {
            error->text[i] = '?';
        }
        i += character ? character : 1;
    }
}

bool kj__events_refuse(struct kj__refusal *refusal, int code, const char *title,
                       const char *subject, const char *description)
{
    if (description != refusal->text.text) {
        kj_error_set(&refusal->text, 0, "%s", description);
    }
    tidy(&refusal->text);
    refusal->error = (struct kj_api_error){
        .code = code, .title = title, .subject = subject, .description = refusal->text.text};
    return false;
}

static bool negotiate(const struct kj__handshake *handshake, struct kj__session_origin *origin,
                      struct kj__refusal *refusal)
{
    int http_status = 0;
    if (kj__negotiate_accept(kj__fields_get(handshake->headers, "Accept"), &origin->write_encoding,
                             &http_status, &refusal->text)) {
        return kj__events_refuse(refusal, http_status,
                                 http_status == 415 ? "Unsupported Media Type" : "Bad Request",
                                 "elemental", refusal->text.text);
    }
    refusal->encoding = origin->write_encoding;
    if (kj__negotiate_content_type(kj__fields_get(handshake->headers, "Content-Type"),
                                   &origin->read_encoding, &http_status, &refusal->text)) {
        return kj__events_refuse(refusal, http_status,
                                 http_status == 415 ? "Unsupported Media Type" : "Bad Request",
                                 "elemental", refusal->text.text);
    }
    return true;
}

/* As many as a push config may have: handlers look them up for each event. */
enum { PARAMETERS_MAX = 128 };

static bool check_query(const struct kj__handshake *handshake, struct kj__refusal *refusal)
{
    size_t count = 1;
    for (const char *at = strchr(handshake->query, '&'); at; at = strchr(at + 1, '&')) {
        count++;
    }
    if (count <= PARAMETERS_MAX) {
        return true;
    }
    kj_error_set(&refusal->text, 0, "The query has more than %d parameters", PARAMETERS_MAX);
    return kj__events_refuse(refusal, 400, "Bad Request", "kujata", refusal->text.text);
}

static bool check_origin(struct kj__events *events, const struct kj__handshake *handshake,
                         struct kj__refusal *refusal)
{
    const char *origin = kj__fields_get(handshake->headers, "Origin");
    if (kj__origin_is_allowed(origin, kj__fields_get(handshake->headers, "Host"),
                              events->options.allowed_origins)) {
        return true;
    }
    static struct kj__log_limit limit;
    KJ__COUNT(events->options.counters, handshakes_bad_origin);
    kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                    "a browser from %.200s was refused; set allowed_origins (--allow-origin) to "
                    "let it in",
                    origin);
    return kj__events_refuse(refusal, 403, "Forbidden", "kujata",
                             "This origin is not allowed to start a session");
}

enum kj_auth kj__events_ask(const struct kj_session_authenticator *authenticators, size_t count,
                            struct kj_session *session, struct kj_error *error)
{
    error->text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct kj_session_authenticator *authenticator = &authenticators[i];
        if (!authenticator->authenticate) {
            continue;
        }
        error->text[0] = '\0';
        switch (authenticator->authenticate(session, error, authenticator->ctx)) {
        case KJ_AUTH_ACCEPT:
            return KJ_AUTH_ACCEPT;
        case KJ_AUTH_CONTINUE:
            break;
        default:
            if (!error->text[0]) {
                kj_error_set(error, 0, "You are not authorized to start a session");
            }
            tidy(error);
            return KJ_AUTH_REFUSE;
        }
    }
    return KJ_AUTH_CONTINUE;
}

bool kj__events_authenticate(struct kj__events *events, struct kj_session *session,
                             struct kj_error *error)
{
    const struct kj__events_options *options = &events->options;
    const void *before = kj_session_data(session);
    enum kj_auth verdict = kj__events_ask(options->authenticators, options->authenticator_count,
                                          session, error);
    session->has_callers_data = kj_session_data(session) != before;
    return verdict != KJ_AUTH_REFUSE;
}

bool kj__events_refuse_token(struct kj__events *events, const struct kj_session *session,
                             struct kj__refusal *refusal)
{
    static struct kj__log_limit limit;
    KJ__COUNT(events->options.counters, auth_refused);
    kj__events_refuse(refusal, 401, "Unauthorized", "bahamut", refusal->text.text);
    kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                    "a session from %s was not authenticated: %s",
                    kj_session_remote_address(session), refusal->text.text);
    return false;
}

static bool authenticate(struct kj__events *events, struct kj_session *session,
                         struct kj__refusal *refusal)
{
    return kj__events_authenticate(events, session, &refusal->text) ||
           kj__events_refuse_token(events, session, refusal);
}

static bool init(struct kj__events *events, struct kj_session *session, struct kj__refusal *refusal)
{
    const struct kj_dispatch_handler *handler = events->options.dispatch;
    refusal->text.text[0] = '\0';
    if (!handler->on_session_init ||
        handler->on_session_init(session, &refusal->text, handler->ctx)) {
        return true;
    }
    KJ__COUNT(events->options.counters, access_refused);
    return kj__events_refuse(refusal, 403, "Forbidden", "bahamut",
                             refusal->text.text[0]
                                 ? refusal->text.text
                                 : "You are not authorized to initiate a push session");
}

static bool take_place(struct kj__events *events, const char *remote_address,
                       struct kj__refusal *refusal)
{
    if (atomic_load(&events->is_closed)) {
        return kj__events_refuse(refusal, 503, "Service Unavailable", "kujata",
                                 "The server is stopping");
    }
    if (kj__events_take_place(events, remote_address) == KJ_OK) {
        return true;
    }
    static struct kj__log_limit limit;
    KJ__COUNT(events->options.counters, handshakes_over_limit);
    kj__log_limited(&limit, KJ__LOG_WARNING, "dispatch",
                    "a session of %s was refused: see the limits sessions (--limit-sessions) and "
                    "sessions_per_address (--limit-sessions-per-address)",
                    remote_address);
    return kj__events_refuse(refusal, 503, "Service Unavailable", "kujata", "Too many sessions");
}

bool kj__events_admit(struct kj__events *events, const struct kj__handshake *handshake,
                      struct kj__session_origin *origin, struct kj__refusal *refusal)
{
    *refusal = (struct kj__refusal){.encoding = KJ_ENCODING_JSON};
    *origin = (struct kj__session_origin){.headers = handshake->headers,
                                          .query = handshake->query,
                                          .remote_address = handshake->remote_address,
                                          .certificate = handshake->certificate};
    return negotiate(handshake, origin, refusal) && check_query(handshake, refusal) &&
           check_origin(events, handshake, refusal) &&
           take_place(events, handshake->remote_address, refusal);
}

bool kj__events_admit_stream(struct kj__events *events, const char *remote_address,
                             struct kj__refusal *refusal)
{
    *refusal = (struct kj__refusal){.encoding = KJ_ENCODING_JSON};
    return take_place(events, remote_address, refusal);
}

/* ---- what is told of it ---- */

static void audit(const struct kj__events *events, const struct kj_session *session, int status,
                  const char *error_title, int64_t started_ns)
{
    const struct kj_auditor *auditor = events->options.audit;
    if (!auditor || !auditor->audit_session) {
        return;
    }
    const struct kj_audit_outcome outcome = {
        .status = status,
        .error_title = error_title,
        .duration_us = (uint64_t)(kj__clock_monotonic_ns() - started_ns) / NS_PER_US,
    };
    enum kj_status kept = auditor->audit_session(session, &outcome, auditor->ctx);
    if (!kept) {
        KJ__COUNT(events->options.counters, audit_records);
        return;
    }
    static struct kj__log_limit limit;
    KJ__COUNT(events->options.counters, audit_lost);
    kj__log_limited(&limit, KJ__LOG_ERROR, "dispatch", "an audit record (--audit) was lost: %s",
                    kj_status_text(kept));
}

void kj__events_audit(const struct kj__events *events, const struct kj_session *session,
                      const struct kj_api_error *error, int64_t started_ns)
{
    audit(events, session, error ? error->code : SWITCHING_PROTOCOLS, error ? error->title : NULL,
          started_ns);
}

bool kj__events_authenticate_later(struct kj__events *events, struct kj_session *stand_in,
                                   struct kj_error *error)
{
    int64_t started_ns = kj__clock_monotonic_ns();
    bool is_accepted = kj__events_authenticate(events, stand_in, error);
    audit(events, stand_in, is_accepted ? ACCEPTED : UNAUTHORIZED,
          is_accepted ? NULL : "Unauthorized", started_ns);
    return is_accepted;
}

/* Asks everyone who may refuse it, and tells who must know. */
static bool admit(struct kj__events *events, struct kj_session *session,
                  struct kj__refusal *refusal)
{
    int64_t started_ns = kj__clock_monotonic_ns();
    bool is_admitted = authenticate(events, session, refusal) && init(events, session, refusal);
    kj__events_audit(events, session, is_admitted ? NULL : &refusal->error, started_ns);
    return is_admitted;
}

struct kj_session *kj__events_prepare(struct kj__events *events,
                                      const struct kj__handshake *handshake,
                                      struct kj__refusal *refusal)
{
    struct kj__session_origin origin;
    struct kj_session *session = NULL;
    if (kj__events_admit(events, handshake, &origin, refusal)) {
        session = kj__session_new(&events->sessions_slab, events->options.delivery,
                                  &events->endpoint, &origin);
        if (session) {
            session->has_place = true;
        } else {
            kj__events_give_place(events, handshake->remote_address);
            kj__events_refuse(refusal, 503, "Service Unavailable", "kujata", "Out of memory");
        }
    }
    if (session && admit(events, session, refusal)) {
        /* Authenticators may have taken their time, and what goes on at the place read here must
         * still be kept when the socket is there. */
        if (!kj__replay_prepare(events, session, handshake->query)) {
            kj__events_refuse(refusal, 503, "Service Unavailable", "kujata", "Out of memory");
        } else if (kj__connection_announce(&session->connection)) {
            return session;
        } else {
            kj__events_refuse(refusal, 503, "Service Unavailable", "kujata",
                              "The server is stopping");
        }
    }
    KJ__COUNT(events->options.counters, handshakes_refused);
    if (session) {
        kj__connection_unref(&session->connection);
    }
    return NULL;
}
