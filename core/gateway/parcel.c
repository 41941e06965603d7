/* parcel.c - see parcel.h. */
#include "gateway/parcel.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/client.h"
#include "gateway/topic.h"

#include <stdlib.h>

/* ---- messages ---- */

enum kj_status kj_frames_add(struct kj_frames *frames, enum kj_frame frame, const void *bytes,
                             size_t len)
{
    if (frames->count == frames->capacity) {
        size_t capacity = frames->capacity ? frames->capacity * 2 : 1;
        struct kj__out_frame **items = realloc(frames->items, capacity * sizeof *items);
        if (!items) {
            return KJ_ENOMEM;
        }
        frames->items = items;
        frames->capacity = capacity;
    }
    struct kj__out_frame *made = kj__client_frame_new(frames->mount, frame, bytes, len);
    if (!made) {
        return KJ_ENOMEM;
    }
    made->policy = frames->policy;
    frames->items[frames->count++] = made;
    return KJ_OK;
}

void kj__frames_free(struct kj_frames *frames)
{
    for (size_t i = 0; frames && i < frames->count; i++) {
        kj__out_frame_unref(frames->items[i]);
    }
    if (frames) {
        free(frames->items);
        free(frames);
    }
}

/* As out_frame.h has it. */
static uint8_t policy_of(const struct kj_protocol *protocol, enum kj_topic_kind kind)
{
    bool is_for_many = kind == KJ_TOPIC_ALL || kind == KJ_TOPIC_ROOM;
    switch (is_for_many ? protocol->slow_rooms : protocol->slow_users) {
    case KJ_SLOW_DROP_NEWEST:
        return 1 + KJ_QUEUE_DROP_NEWEST;
    case KJ_SLOW_DROP_OLDEST:
        return 1 + KJ_QUEUE_DROP_OLDEST;
    case KJ_SLOW_CLOSE:
        return 1 + KJ_QUEUE_DISCONNECT;
    case KJ_SLOW_DEFAULT:
        break;
    }
    return is_for_many ? 1 + KJ_QUEUE_DROP_OLDEST : 1 + KJ_QUEUE_DISCONNECT;
}

struct kj_frames *kj__frames_new(struct kj_gateway *gateway, size_t form,
                                 const struct kj_push *const *pushes, size_t count)
{
    const struct kj_protocol *protocol = &gateway->forms[form].mount->protocol;
    struct kj_frames *frames = calloc(1, sizeof *frames);
    enum kj_status status = KJ_ENOMEM;
    if (frames) {
        frames->mount = gateway->forms[form].mount;
        frames->policy = policy_of(protocol, pushes[0]->parts.kind);
        status = protocol->encode(gateway->forms[form].encoding, pushes, count, frames,
                                  protocol->ctx);
    }
    if (!status) {
        return frames;
    }
    static struct kj__log_limit limit;
    KJ__COUNT_BY(gateway->options.counters, gateway_unencodable, count);
    kj__log_limited(&limit, KJ__LOG_ERROR, "gateway",
                    "a push was dropped: the protocol %s cannot encode it: %s", protocol->name,
                    kj_status_text(status));
    kj__frames_free(frames);
    return NULL;
}

/* ---- parcels ---- */

struct kj__parcel *kj__parcel_new_take(struct kj_gateway *gateway, struct kj_push *push,
                                       struct kj__topic *topic, struct kj_client *client)
{
    struct kj__parcel *parcel = calloc(1, sizeof *parcel + gateway->options.delivery->shard_count *
                                                               sizeof parcel->posts[0]);
    if (!parcel) {
        kj__push_unref(push);
        return NULL;
    }
    atomic_init(&parcel->refs, 1);
    parcel->gateway = gateway;
    parcel->push = push;
    parcel->arrived_ns = kj__clock_monotonic_ns();
    if (topic) {
        parcel->topic = topic;
        atomic_fetch_add_explicit(&topic->refs, 1, memory_order_relaxed);
    } else {
        parcel->client = kj_client_ref(client);
    }
    return parcel;
}

struct kj__parcel *kj__parcel_ref(struct kj__parcel *parcel)
{
    atomic_fetch_add_explicit(&parcel->refs, 1, memory_order_relaxed);
    return parcel;
}

/* What was pushed here to a user's clients here, of whom none is left. */
static bool is_lost(const struct kj__parcel *parcel)
{
    const struct kj__push_parts *parts = &parcel->push->parts;
    return parts->what == KJ__WHAT_PUSH && parts->kind == KJ_TOPIC_USER &&
           parts->node == parcel->gateway->node && !atomic_load(&parcel->is_given);
}

void kj__parcel_unref(struct kj__parcel *parcel)
{
    if (atomic_fetch_sub_explicit(&parcel->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (is_lost(parcel)) {
        KJ__COUNT(parcel->gateway->options.counters, events_queued);
        KJ__COUNT(parcel->gateway->options.counters, dropped_closing);
    }
    for (size_t i = 0; i < parcel->gateway->form_count; i++) {
        kj__frames_free(parcel->frames[i]);
    }
    if (parcel->topic) {
        kj__topic_unref(parcel->topic);
    }
    kj_client_unref(parcel->client);
    kj__push_unref(parcel->push);
    free(parcel);
}

static void run_post(struct kj__job *job, struct kj__shard *shard)
{
    struct kj__parcel_post *post = (struct kj__parcel_post *)job;
    struct kj__parcel *parcel = post->parcel;
    kj__side_reap(&parcel->gateway->sides[post->index]);
    kj__dispatch_round_note(&shard->dispatch, parcel->arrived_ns);
    if (parcel->topic) {
        kj__topic_deliver(parcel->topic, post->index, parcel);
    } else {
        kj__client_deliver(parcel->client, parcel);
    }
    kj__parcel_unref(parcel);
}

static void post_to(struct kj__parcel *parcel, size_t index)
{
    const struct kj__gateway_options *options = &parcel->gateway->options;
    struct kj__parcel_post *post = &parcel->posts[index];
    *post = (struct kj__parcel_post){
        .job.run = run_post, .parcel = kj__parcel_ref(parcel), .index = index};
    if (!kj__shard_post(&options->delivery->shards[index], &post->job)) {
        KJ__COUNT(options->counters, dropped_no_memory);
        kj__parcel_unref(parcel);
    }
}

/* Forms that are batched are encoded on the shard, which knows what goes together; what takes its
 * time goes alone. */
static void encode(struct kj__parcel *parcel)
{
    const struct kj_push *push = parcel->push;
    for (size_t i = 0; i < parcel->gateway->form_count; i++) {
        bool is_needed = parcel->topic
                             ? (push->parts.speed > 0 || !kj__lot_is_batched(parcel->topic, i)) &&
                                   atomic_load(&parcel->topic->form_members[i]) > 0
                             : i == kj__client_form(parcel->client);
        if (is_needed && push->parts.what == KJ__WHAT_PUSH) {
            parcel->frames[i] = kj__frames_new(parcel->gateway, i, &push, 1);
        }
    }
}

void kj__parcel_post(struct kj__parcel *parcel)
{
    encode(parcel);
    if (!parcel->topic) {
        post_to(parcel, kj__side_of(parcel->client)->index);
        return;
    }
    for (size_t i = 0; i < parcel->gateway->options.delivery->shard_count; i++) {
        if (atomic_load(&parcel->topic->sides[i].members) > 0) {
            post_to(parcel, i);
        }
    }
}
