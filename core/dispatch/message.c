/* message.c - see message.h. */
#include "dispatch/message.h"

#include "base/clock.h"
#include "codec/event.h"
#include "model/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ENVELOPE_BYTES = 160, /* of an event beside its entity: its other members, a header */
    VALUE_BYTES = 64,     /* of a decoded value or a member's name, with its place */
};

struct kj__message *kj__message_new_take(struct kj_event *event,
                                         const struct kj_dispatch_handler *handler,
                                         const struct kj__delivery *delivery,
                                         const struct kj__endpoint *endpoint,
                                         uint32_t verdict_count)
{
    static _Atomic uint64_t last_serial;
    struct kj__message *message = calloc(1, sizeof *message +
                                                delivery->shard_count * sizeof message->posts[0]);
    _Atomic uint64_t *verdicts = verdict_count ? calloc(verdict_count, sizeof *verdicts) : NULL;
    if (!message || (verdict_count && !verdicts)) {
        free(verdicts);
        free(message);
        kj_event_unref(event);
        return NULL;
    }
    message->verdicts = verdicts;
    message->verdict_count = verdict_count;
    message->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    message->received_ns = kj__clock_wall_ns();
    atomic_init(&message->refs, 1);
    message->event = event;
    message->handler = handler;
    message->endpoint = endpoint;
    message->counters = delivery->counters;
    pthread_mutex_init(&message->encode_lock, NULL);
    return message;
}

struct kj__message *kj__message_ref(struct kj__message *message)
{
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

void kj__message_unref(struct kj__message *message)
{
    if (atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (message->summary && message->handler->free_summary) {
        message->handler->free_summary(message->summary, message->handler->ctx);
    }
    for (size_t i = 0; i < KJ__FORM_COUNT; i++) {
        kj__out_frame_unref(atomic_load(&message->frames[i]));
    }
    pthread_mutex_destroy(&message->encode_lock);
    kj_event_unref(message->event);
    free(message->verdicts);
    free(message);
}

struct kj__out_frame *kj__event_frame(const struct kj_event *event, enum kj_encoding encoding)
{
    return kj__event_frame_as(NULL, event, encoding);
}

/* `seq` NULL: without. */
static struct kj__out_frame *make_frame(const struct kj_model *model, const struct kj_event *event,
                                        enum kj_encoding encoding, const char *seq)
{
    struct kj__buffer bytes;
    kj__buffer_init(&bytes);
    struct kj__out_frame *frame = NULL;
    enum kj_status status = kj__model_encode_event(model, event, encoding, &bytes);
    if (!status && seq) {
        kj__event_append_seq(&bytes, 0, encoding, seq);
    }
    if (!status && !bytes.failed) {
        frame = kj__out_frame_new(encoding == KJ_ENCODING_JSON ? KJ__FRAME_TEXT : KJ__FRAME_BINARY,
                                  bytes.data, bytes.len);
    }
    kj__buffer_fini(&bytes);
    return frame;
}

struct kj__out_frame *kj__event_frame_as(const struct kj_model *model, const struct kj_event *event,
                                         enum kj_encoding encoding)
{
    return make_frame(model, event, encoding, NULL);
}

struct kj__out_frame *kj__event_frame_at(const struct kj_event *event, enum kj_encoding encoding,
                                         const char *seq)
{
    return make_frame(NULL, event, encoding, seq);
}

void kj__seq_format(const char *stream, uint64_t number, char seq[KJ__SEQ_SIZE])
{
    snprintf(seq, KJ__SEQ_SIZE, "%s-%" PRIu64, stream, number);
}

static struct kj__out_frame *make_form(const struct kj__message *message, uint32_t form)
{
    enum kj_encoding encoding = (enum kj_encoding)(form % KJ_ENCODING_COUNT);
    char seq[KJ__SEQ_SIZE];
    kj__seq_format(message->stream, message->number, seq);
    return make_frame(message->model, message->event, encoding,
                      form < KJ_ENCODING_COUNT ? NULL : seq);
}

struct kj__out_frame *kj__message_frame(struct kj__message *message, uint32_t form)
{
    struct kj__out_frame *frame = atomic_load_explicit(&message->frames[form],
                                                       memory_order_acquire);
    if (frame) {
        return frame;
    }
    pthread_mutex_lock(&message->encode_lock);
    frame = atomic_load_explicit(&message->frames[form], memory_order_acquire);
    if (!frame) {
        frame = make_form(message, form);
        atomic_store_explicit(&message->frames[form], frame, memory_order_release);
    }
    pthread_mutex_unlock(&message->encode_lock);
    return frame;
}

size_t kj__message_weigh(const struct kj__message *message)
{
    size_t len;
    enum kj_encoding encoding;
    kj_event_entity_bytes(message->event, &len, &encoding);
    return sizeof *message + message->verdict_count * sizeof *message->verdicts +
           (1 + KJ_ENCODING_COUNT) * (len + ENVELOPE_BYTES) + len +
           kj__event_value_count(message->event) * VALUE_BYTES;
}
