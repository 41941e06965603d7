/* publication.h - what backends need of a publication beyond kujata/publication.h. */
#ifndef KJ_CODEC_PUBLICATION_H
#define KJ_CODEC_PUBLICATION_H

#include <kujata/publication.h>

/* The answer its sender waits for: bahamut's numbers. */
enum kj__response_mode {
    KJ__RESPONSE_NONE = 0,
    KJ__RESPONSE_ACK = 1,         /* the three bytes "ack" on the reply subject */
    KJ__RESPONSE_PUBLICATION = 2, /* another publication there */
};

/* Carried, and NONE in publications made here.                          [any thread] */
int kj__publication_response_mode(const struct kj_publication *publication);

/* Bytes of its data and tracking, which bounds of queues count.         [any thread] */
size_t kj__publication_size(const struct kj_publication *publication);

#endif
