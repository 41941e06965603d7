/* event.h - how the library makes events; what users see is in kujata/event.h. */
#ifndef KJ_CODEC_EVENT_H
#define KJ_CODEC_EVENT_H

#include "base/buffer.h"
#include "codec/msgpack.h"

#include <kujata/event.h>

/* An event around an entity already encoded; `entity`'s bytes are taken, also on failure. */
enum kj_status kj__event_new_take(const char *type, const char *identity, int64_t timestamp_ns,
                                  enum kj_encoding encoding, struct kj__buffer *entity,
                                  struct kj_event **event);

/* What its publication carries beside it; NULL: nothing. Borrowed. */
const json_t *kj__event_tracking(const struct kj_event *event);

/* Before the event is shared. Takes the reference. */
void kj__event_set_tracking_take(struct kj_event *event, json_t *tracking);

/* Appends the wire form without an allocation of its own. */
enum kj_status kj__event_encode_into(const struct kj_event *event, enum kj_encoding encoding,
                                     struct kj__buffer *out);

/* The same for an entity whose members are of these kinds, by which what was born in JSON gets its
 * times and bytes in msgpack. `kinds` may be NULL. */
enum kj_status kj__event_encode_as(const struct kj_event *event, enum kj_encoding encoding,
                                   const struct kj__member_kinds *kinds, struct kj__buffer *out);

/* How many values its entity holds once it is decoded, about; found without decoding it. */
size_t kj__event_value_count(const struct kj_event *event);

/* Lets the event encoded from `start` to the end carry one member more, behind the others. `seq`
 * has nothing that JSON escapes. */
void kj__event_append_seq(struct kj__buffer *out, size_t start, enum kj_encoding encoding,
                          const char *seq);

#endif
