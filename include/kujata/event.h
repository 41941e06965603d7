/* event.h - one change of one object.
 *
 * An event is immutable once made and reference counted, so one event serves every
 * session. On the wire it has five members (bahamut's elemental.Event): encoding,
 * entity, identity, timestamp, type. The entity is kept encoded; events made here
 * hold it in msgpack, which keeps times apart from strings.
 */
#ifndef KUJATA_EVENT_H
#define KUJATA_EVENT_H

#include <jansson.h>
#include <kujata/encoding.h>
#include <kujata/status.h>
#include <stddef.h>
#include <stdint.h>

struct kj_event;
struct kj_identity;

#define KJ_EVENT_CREATE "create"
#define KJ_EVENT_UPDATE "update"
#define KJ_EVENT_DELETE "delete"
#define KJ_EVENT_ERROR "error"
#define KJ_EVENT_POSITION "position" /* of no identity: it tells nothing but its seq */

/* Makes an event of `type` about `entity` (a JSON object, borrowed and encoded at
 * once), stamped with the wall clock. The identity tells which members are times
 * and which are secret; secrets are blanked.                           [any thread]
 * KJ_EINVAL when the entity is not an object, KJ_ELIMIT when it nests deeper than 64. */
enum kj_status kj_event_new(const struct kj_identity *identity, const char *type,
                            const json_t *entity, struct kj_event **event);

/* The same for an identity no model knows: values are encoded as they are. A server whose model
 * knows the identity hides secrets when it publishes the event. */
enum kj_status kj_event_new_untyped(const char *identity_name, const char *type,
                                    const json_t *entity, struct kj_event **event);

struct kj_event *kj_event_ref(struct kj_event *event); /* [any thread] */
void kj_event_unref(struct kj_event *event);           /* [any thread]; NULL is fine */

/* Both live as long as the event. */
const char *kj_event_type(const struct kj_event *event);
const char *kj_event_identity(const struct kj_event *event);

/* Its place in the stream of the node it came from, to go on from (see since of
 * kj_subscriber_options); NULL for one that came without. Lives as long as the event. */
const char *kj_event_seq(const struct kj_event *event);

/* Nanoseconds since 1970 by the publisher's clock; INT64_MIN for the zero time. */
int64_t kj_event_timestamp_ns(const struct kj_event *event);

/* The entity as a JSON value, decoded on the first call and owned by the event. Do
 * not change it. NULL when it cannot be decoded.                       [any thread] */
const json_t *kj_event_entity(const struct kj_event *event);

/* The encoded entity and the encoding it is in. */
const uint8_t *kj_event_entity_bytes(const struct kj_event *event, size_t *len,
                                     enum kj_encoding *encoding);

/* What its publication carries beside it, for whoever traces: "traceparent" and so on; NULL:
 * nothing under that key. On the node where a request made the event it is what the request
 * brought (see kj_context_tracking), on the others what came with it. Lives as long as the
 * event.                                                               [any thread] */
const char *kj_event_tracking(const struct kj_event *event, const char *key);

/* A copy that also carries `tracking`, an object of strings; members the event has already stay.
 * kj_server_push sends them. KJ_EINVAL, or KJ_ELIMIT for more than a publication may carry.
 *                                                                      [any thread] */
enum kj_status kj_event_with_tracking(const struct kj_event *event, const json_t *tracking,
                                      struct kj_event **copy);

/* Encodes the event for the wire, converting the entity when its encoding differs.
 * *bytes is malloc'd; the caller frees it.                             [any thread] */
enum kj_status kj_event_encode(const struct kj_event *event, enum kj_encoding encoding,
                               uint8_t **bytes, size_t *len);

/* Reads what kj_event_encode (or bahamut) wrote. Bytes are borrowed.   [any thread]
 * KJ_EPARSE for anything that is not an event, KJ_ELIMIT for one that nests too deep. */
enum kj_status kj_event_decode(const uint8_t *bytes, size_t len, enum kj_encoding encoding,
                               struct kj_event **event);

#endif
