/* publication.h - what backends need of a publication beyond kujata/publication.h. */
#ifndef KJ_CODEC_PUBLICATION_H
#define KJ_CODEC_PUBLICATION_H

#include <kujata/publication.h>

/* The whole message that says so. */
#define KJ__ACK "ack"

/* The way back to who waits for an answer. Whoever makes one embeds it. */
struct kj__replier {
    enum kj_status (*reply)(struct kj__replier *replier, const struct kj_publication *response);
    void (*release)(struct kj__replier *replier); /* with the publication; not to be used after */
};

/* What a copy has otherwise than its original. */
struct kj__publication_change {
    const char *topic;    /* NULL: the same */
    const char *reply_to; /* where answers are to go; NULL: none are wanted */
    enum kj_response_mode response_mode;
};

/* As carried, which may be a number unknown here.                       [any thread] */
int kj__publication_response_mode(const struct kj_publication *publication);

/* Bytes of its data and tracking, which bounds of queues count.         [any thread] */
size_t kj__publication_size(const struct kj_publication *publication);

/* Tracking data as msgpack; *len is 0 where there is none, or an empty map. */
const uint8_t *kj__publication_tracking_bytes(const struct kj_publication *publication,
                                              size_t *len);

enum kj_status kj__publication_copy(const struct kj_publication *publication,
                                    const struct kj__publication_change *change,
                                    struct kj_publication **copy);

/* One whose message is its data, without an envelope. */
enum kj_status kj__publication_new_bare(const char *topic, const char *data,
                                        struct kj_publication **publication);

/* What goes over the wire: the envelope, or bare data; *bytes is malloc'd. */
enum kj_status kj__publication_message(const struct kj_publication *publication, uint8_t **bytes,
                                       size_t *len);

/* The subject answers are to go to, or NULL. Not part of the envelope. */
const char *kj__publication_reply_to(const struct kj_publication *publication);

/* Before the publication is shared; it then owns the replier. */
void kj__publication_set_replier_take(struct kj_publication *publication,
                                      struct kj__replier *replier);
struct kj__replier *kj__publication_replier(const struct kj_publication *publication);

#endif
