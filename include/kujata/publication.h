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
#include <stddef.h>
#include <stdint.h>

struct kj_publication;

struct kj_publication_options {
    const char *topic;           /* required, not empty */
    const uint8_t *data;         /* borrowed; copied */
    size_t len;                  /* bytes in `data` */
    enum kj_encoding encoding;   /* of `data` */
    const char *tracking_name;   /* may be NULL */
    const json_t *tracking_data; /* object of strings, borrowed; may be NULL */
    int32_t partition;           /* carried, not interpreted */
};

/* KJ_EINVAL for an empty topic.                                        [any thread] */
enum kj_status kj_publication_new(const struct kj_publication_options *options,
                                  struct kj_publication **publication);

struct kj_publication *kj_publication_ref(struct kj_publication *publication); /* [any thread] */
void kj_publication_unref(struct kj_publication *publication); /* [any thread]; NULL is fine */

/* All of these live as long as the publication. */
const char *kj_publication_topic(const struct kj_publication *publication);
const uint8_t *kj_publication_data(const struct kj_publication *publication, size_t *len);
enum kj_encoding kj_publication_encoding(const struct kj_publication *publication);

/* The msgpack envelope; *bytes is malloc'd and the caller's.           [any thread] */
enum kj_status kj_publication_encode(const struct kj_publication *publication, uint8_t **bytes,
                                     size_t *len);

/* Reads an envelope. `topic` is the subject it came on, used when the envelope names
 * none; an envelope without `encoding` is read as JSON, as bahamut does. [any thread] */
enum kj_status kj_publication_decode(const uint8_t *bytes, size_t len, const char *topic,
                                     struct kj_publication **publication);

#endif
