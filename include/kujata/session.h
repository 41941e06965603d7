/* session.h - one connected subscriber.
 *
 * A session is made on an HTTP worker at the handshake. Authenticators and on_session_init
 * see it there. After the 101 it belongs to one shard: on_session_start, should_dispatch
 * and on_session_stop run on that shard's thread, and no other thread may touch it, but for the
 * calls marked [any thread], which need a reference. Pointers returned here live as long as the
 * session, unless said otherwise.
 *
 * A client may bring another token in a push config. The authenticators then run again, on a
 * thread of their own and on a copy of the session: it has the same ID, headers and address, the
 * new parameters, and no claims and no data. What they set on it becomes the session's once they
 * accept; until then it goes on with the claims it has. A refusal ends it with 1008.
 */
#ifndef KUJATA_SESSION_H
#define KUJATA_SESSION_H

#include <jansson.h>
#include <kujata/certificate.h>
#include <kujata/encoding.h>
#include <kujata/event.h>
#include <kujata/push_config.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

struct kj_session;

/* Keeps a session in memory, also beyond its end. From on_session_start on; every reference is
 * given back before the server is freed.                               [any thread] */
struct kj_session *kj_session_ref(struct kj_session *session);
void kj_session_unref(struct kj_session *session); /* [any thread]; NULL is fine */

/* Sends an event to this session alone, when it is no older than the session and the push config
 * asks for its identity and type; attribute filters, error state and should_dispatch are not
 * asked. It is behind what the session already has to get, and without secret attributes. Never
 * blocks.                                                              [any thread]
 * From on_session_start itself, which is how a session is told of what there is. KJ_ECLOSED before
 * that, once the session has ended, and while one that keeps sending bad push configs is held until
 * its end; KJ_EFULL when the shard does
 * not keep up, KJ_EPARSE for an entity that cannot be read, KJ_ENOMEM also when it cannot be
 * encoded for the client: each counted.
 * After KJ_OK an event that does not reach the socket is counted as any other. */
enum kj_status kj_session_push(struct kj_session *session, const struct kj_event *event);

/* ---- what the handshake said: never changes                          [any thread] ---- */

const char *kj_session_id(const struct kj_session *session); /* a UUIDv4 */

enum kj_encoding kj_session_read_encoding(const struct kj_session *session);
enum kj_encoding kj_session_write_encoding(const struct kj_session *session);

/* Wall clock at the handshake, nanoseconds since 1970. Older events are not delivered. */
int64_t kj_session_start_ns(const struct kj_session *session);

/* A header of the handshake, but for those that made it one (Connection, Upgrade,
 * Sec-WebSocket-*). */
const char *kj_session_header(const struct kj_session *session, const char *name);
const char *kj_session_cookie(const struct kj_session *session, const char *name);
const char *kj_session_remote_address(const struct kj_session *session); /* "127.0.0.1" */

/* The client's TLS certificate, which was good at the handshake; NULL: it has shown none. */
const struct kj_certificate *kj_session_peer_certificate(const struct kj_session *session);

/* Whether the client said enableErrors in its URL. */
bool kj_session_wants_errors(const struct kj_session *session);

/* ---- what may change: on the session's own thread ---- */

/* The first value of a query parameter; a push config's parameters replace it. NULL when
 * absent. Valid until the next push config. */
const char *kj_session_parameter(const struct kj_session *session, const char *name);

/* The same as the URL had it, whatever push configs brought: what on_session_init has seen, and
 * what to go by where a client must not choose anew. */
const char *kj_session_query_parameter(const struct kj_session *session, const char *name);

/* The credential: `Authorization: Bearer`, else the cookie token_cookie of the server's options,
 * else the parameter "token", else NULL. A token a push config brought is preferred to all, also
 * before the authenticators have seen it: what they make of it are the claims. */
const char *kj_session_token(const struct kj_session *session);

/* Until when the session is good, by the wall clock in milliseconds since 1970; 0, as at first:
 * for ever. Then it is closed with 1008, after an error event where the client asked for them.
 * A later call moves it.                              [any thread, with a reference] */
void kj_session_set_expiry(struct kj_session *session, int64_t unix_ms);
int64_t kj_session_expiry(const struct kj_session *session); /* [any thread, with a reference] */

/* For authenticators: a number for what lets it in, the same on every node, such as a part of a
 * token's hash, by which kj_server_end_sessions ends it. 0, as at first: none. Set it before the
 * last look at whether the credential still holds, and an end in between is not missed. */
void kj_session_set_credential(struct kj_session *session, uint64_t credential);

/* Strings of the form "key=value". A new set replaces the old one; the array is copied.
 * KJ_EINVAL for a claim without a key or a value. */
enum kj_status kj_session_set_claims(struct kj_session *session, const char *const *claims,
                                     size_t count);
const char *const *kj_session_claims(const struct kj_session *session, size_t *count);
const char *kj_session_claim(const struct kj_session *session, const char *key);

/* One pointer of the application's. `release` (may be NULL) is called with it when the
 * session is freed or the pointer replaced, on whatever thread that happens. What authenticators
 * set goes with the credential: a new token that is accepted puts theirs in its place, or NULL. */
void kj_session_set_data(struct kj_session *session, void *data, void (*release)(void *data));
void *kj_session_data(const struct kj_session *session);

/* The latest valid push config, or NULL while there is none; one that asked for the same may
 * stand for it, and its parameters are the session's. Valid until the next one. */
const struct kj_push_config *kj_session_push_config(const struct kj_session *session);

#endif
