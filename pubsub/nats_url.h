/* nats_url.h - the list of broker addresses an application writes.          [any thread] */
#ifndef KJ_PUBSUB_NATS_URL_H
#define KJ_PUBSUB_NATS_URL_H

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>

struct kj__nats_urls {
    char **list; /* each malloc'd */
    int count;
    bool is_secure; /* they begin with tls:// */
    char *host;     /* of all of them; NULL where they have several */
    char *shown;    /* the whole list without names and passwords, for people */
};

/* Splits "nats://HOST:PORT,nats://..." and checks each part. KJ_EINVAL with `error` (may be
 * NULL) filled, its position the offset of the bad part. */
enum kj_status kj__nats_urls_parse(const char *text, struct kj__nats_urls *urls,
                                   struct kj_error *error);

/* So that not all nodes try the same broker first. */
void kj__nats_urls_shuffle(struct kj__nats_urls *urls);

/* A zeroed or half-filled one is fine. */
void kj__nats_urls_fini(struct kj__nats_urls *urls);

#endif
