/* pubsub_local.h - the backend inside one process. */
#ifndef KUJATA_PUBSUB_LOCAL_H
#define KUJATA_PUBSUB_LOCAL_H

#include <kujata/pubsub.h>

struct kj_pubsub_local_options {
    uint32_t request_limit; /* requests waiting for an answer; 0: 4,096 */
    struct kj_pubsub_errors errors;
};

/* `options` may be NULL. The caller frees with kj_pubsub_free.         [any thread] */
enum kj_status kj_pubsub_local_new(const struct kj_pubsub_local_options *options,
                                   struct kj_pubsub **pubsub);

#endif
