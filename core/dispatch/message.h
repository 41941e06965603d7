/* message.h - one event on its way to the sessions of this node.
 *
 * Made by the dispatcher, posted to every shard, shared by reference, and kept a while for sessions
 * that come back (recent.h). The event's wire forms are made when the first session needs one, and
 * at most once each.
 */
#ifndef KJ_DISPATCH_MESSAGE_H
#define KJ_DISPATCH_MESSAGE_H

#include "delivery/delivery.h"

#include <kujata/event.h>
#include <kujata/handlers.h>
#include <kujata/model.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What an event is written as: an encoding, with `seq` or without. */
enum { KJ__FORM_COUNT = 2 * KJ_ENCODING_COUNT };

static inline uint32_t kj__form_of(enum kj_encoding encoding, bool has_seq)
{
    return (uint32_t)encoding + (has_seq ? KJ_ENCODING_COUNT : 0);
}

/* A place in a stream: "<stream>-<number>", with the terminator. */
enum { KJ__SEQ_SIZE = 40 };

struct kj__message;

/* The message's place in one shard's inbox. */
struct kj__message_post {
    struct kj__job job;
    struct kj__message *message; /* a reference */
};

struct kj__message {
    _Atomic uint32_t refs;
    struct kj_event *event;       /* a reference */
    const struct kj_model *model; /* NULL: every identity is unknown */
    const struct kj_dispatch_handler *handler;
    void *summary;              /* the handler's */
    const char *const *related; /* identities whose filters let this one pass too */
    const struct kj__endpoint *endpoint;
    struct kj__counters *counters;
    int64_t received_ns;        /* wall clock; what now() is in filters */
    int64_t arrived_ns;         /* by the monotonic clock */
    uint64_t serial;            /* of this node */
    uint64_t number;            /* of the publication, in the stream; see replay.h */
    const char *stream;         /* its name; borrowed */
    size_t weight;              /* see kj__message_weigh; not set where nothing is kept */
    _Atomic uint64_t *verdicts; /* by the number of an interest; see kj__interest_wants */
    uint32_t verdict_count;
    pthread_mutex_t encode_lock; /* only for the first use of a form */
    struct kj__out_frame *_Atomic frames[KJ__FORM_COUNT];
    struct kj__message_post posts[]; /* one for each shard */
};

/* Takes over the event's reference, also on failure. One reference for the caller.
 * `verdict_count`: room for what interests say of it. */
struct kj__message *kj__message_new_take(struct kj_event *event,
                                         const struct kj_dispatch_handler *handler,
                                         const struct kj__delivery *delivery,
                                         const struct kj__endpoint *endpoint,
                                         uint32_t verdict_count);

struct kj__message *kj__message_ref(struct kj__message *message); /* [any thread] */
void kj__message_unref(struct kj__message *message);              /* [any thread] */

/* The frame of a form, owned by the message; NULL when it cannot be made. [any thread] */
struct kj__out_frame *kj__message_frame(struct kj__message *message, uint32_t form);

void kj__seq_format(const char *stream, uint64_t number, char seq[KJ__SEQ_SIZE]);

/* The bytes it takes, about, with its frames in both encodings and its entity decoded, as filters
 * leave it. [the backend's thread: it goes over the entity] */
size_t kj__message_weigh(const struct kj__message *message);

/* An event as a frame: text for JSON, binary for msgpack (browsers refuse msgpack in text). */
struct kj__out_frame *kj__event_frame(const struct kj_event *event, enum kj_encoding encoding);

/* The same with its place in the stream, which need not be an event's. */
struct kj__out_frame *kj__event_frame_at(const struct kj_event *event, enum kj_encoding encoding,
                                         const char *seq);

/* The first again, with what the model knows of times and bytes; see model/event.h. */
struct kj__out_frame *kj__event_frame_as(const struct kj_model *model, const struct kj_event *event,
                                         enum kj_encoding encoding);

#endif
