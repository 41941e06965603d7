/* parcel.h - one push on its way to the clients of this node.
 *
 * Made when it arrives, with its messages in every form that a client of the topic needs, posted
 * to every shard that has such clients, and shared by reference.
 */
#ifndef KJ_GATEWAY_PARCEL_H
#define KJ_GATEWAY_PARCEL_H

#include "gateway/gateway.h"

struct kj__topic;
struct kj__parcel;

/* The messages that pushes are in one form. */
struct kj_frames {
    struct kj__out_frame **items; /* references */
    size_t count, capacity;
    const struct kj__mount *mount;
    uint8_t policy; /* of out_frame.h, for each */
};

/* The parcel's place in one shard's inbox. */
struct kj__parcel_post {
    struct kj__job job;
    struct kj__parcel *parcel; /* a reference */
    size_t index;              /* of the shard */
};

struct kj__parcel {
    _Atomic uint32_t refs;
    struct kj_gateway *gateway;
    struct kj_push *push;     /* a reference */
    struct kj__topic *topic;  /* a reference; NULL: for one client */
    struct kj_client *client; /* that one; a reference */
    int64_t arrived_ns;
    _Atomic bool is_given;                   /* of one to a user: some client of this node has it */
    struct kj_frames *frames[KJ__FORMS_MAX]; /* NULL: nobody needs that form */
    struct kj__parcel_post posts[];          /* one for each shard */
};

/* Takes over the push's reference, also on failure; one of the two others is NULL. One reference
 * for the caller; NULL when there is no memory. */
struct kj__parcel *kj__parcel_new_take(struct kj_gateway *gateway, struct kj_push *push,
                                       struct kj__topic *topic, struct kj_client *client);

struct kj__parcel *kj__parcel_ref(struct kj__parcel *parcel); /* [any thread] */
void kj__parcel_unref(struct kj__parcel *parcel);             /* [any thread] */

/* Encodes it and posts it to the shards of its clients; may wait for room there.
 *                                                              [any thread but a shard's] */
void kj__parcel_post(struct kj__parcel *parcel);

/* The messages that pushes of one topic are in a form, for the caller to free; NULL when they
 * cannot be made, counted. */
struct kj_frames *kj__frames_new(struct kj_gateway *gateway, size_t form,
                                 const struct kj_push *const *pushes, size_t count);
void kj__frames_free(struct kj_frames *frames); /* NULL is fine */

#endif
