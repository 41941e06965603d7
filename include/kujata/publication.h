/* publication.h - the envelope that travels over a pubsub backend.
 *
 * Immutable once published and reference counted. On NATS it is the message body,
 * always msgpack, with the members data, encoding, partition, responseMode, topic,
 * trackingData and trackingName (bahamut's Publication).
 */
#ifndef KUJATA_PUBLICATION_H
#define KUJATA_PUBLICATION_H

#include <jansson.h>
#include <kujata/encoding.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_publication;

/* The answer a publication asks for: bahamut's numbers. */
enum kj_response_mode {
    KJ_RESPONSE_NONE = 0,
    KJ_RESPONSE_ACK = 1,         /* a receiver's backend says that a handler is being called */
    KJ_RESPONSE_PUBLICATION = 2, /* a handler answers with a publication */
};

/* Of tracking data made here: members, and bytes of their names and values together; and bytes
 * of a tracking name. What others send is bounded by their broker. */
enum {
    KJ_TRACKING_MEMBERS_MAX = 64,
    KJ_TRACKING_BYTES_MAX = 8192,
    KJ_TRACKING_NAME_MAX = 1024,
};

struct kj_publication_options {
    const char *topic;           /* required, not empty */
    const uint8_t *data;         /* borrowed; copied */
    size_t len;                  /* bytes in `data` */
    enum kj_encoding encoding;   /* of `data` */
    const char *tracking_name;   /* may be NULL */
    const json_t *tracking_data; /* object of strings, borrowed; may be NULL */
    int32_t partition;           /* carried, not interpreted */
};

/* KJ_EINVAL for an empty topic or tracking data that is no object of strings, KJ_ELIMIT for
 * more tracking than the limits above allow.                           [any thread] */
enum kj_status kj_publication_new(const struct kj_publication_options *options,
                                  struct kj_publication **publication);

struct kj_publication *kj_publication_ref(struct kj_publication *publication); /* [any thread] */
void kj_publication_unref(struct kj_publication *publication); /* [any thread]; NULL is fine */

/* A copy with all it carries, but not the way back to who waits for an answer. `topic` NULL: the
 * same.                                                                [any thread] */
enum kj_status kj_publication_duplicate(const struct kj_publication *publication, const char *topic,
                                        struct kj_publication **duplicate);

/* All of these live as long as the publication. */
const char *kj_publication_topic(const struct kj_publication *publication);
const uint8_t *kj_publication_data(const struct kj_publication *publication, size_t *len);
enum kj_encoding kj_publication_encoding(const struct kj_publication *publication);
int32_t kj_publication_partition(const struct kj_publication *publication);
const char *kj_publication_tracking_name(const struct kj_publication *publication); /* or NULL */

/* *data is a new object of strings, NULL where there is none; whoever traces reads and writes it
 * (W3C's `traceparent`, OpenTracing's carriers).                       [any thread] */
enum kj_status kj_publication_tracking_data(const struct kj_publication *publication,
                                            json_t **data);

/* Whether its sender waits for kj_publication_reply.                   [any thread] */
bool kj_publication_wants_reply(const struct kj_publication *publication);

/* Answers a received publication, once, within the reply_timeout_ms of its subscription. The
 * topic of `response` does not matter. KJ_EINVAL when it is NULL or no answer is expected,
 * KJ_EEXIST when there was one already, KJ_ETIMEOUT when it comes too late, KJ_ECLOSED when the
 * backend is gone, and KJ_EFULL or KJ_ENOMEM, after which one may try again. Never blocks.
 *                                                                      [any thread] */
enum kj_status kj_publication_reply(struct kj_publication *publication,
                                    const struct kj_publication *response);

/* The msgpack envelope; *bytes is malloc'd and the caller's.           [any thread] */
enum kj_status kj_publication_encode(const struct kj_publication *publication, uint8_t **bytes,
                                     size_t *len);

/* Reads an envelope. `topic` is the subject it came on, used when the envelope names
 * none; an envelope without `encoding` is read as JSON, as bahamut does. [any thread] */
enum kj_status kj_publication_decode(const uint8_t *bytes, size_t len, const char *topic,
                                     struct kj_publication **publication);

#endif
