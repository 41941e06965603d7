/* processor.h - the functions that serve one identity.
 *
 * A NULL entry answers 501. Each function runs on an HTTP worker, several at once, and may
 * take its time: it holds up one worker, no shard. Return KJ_OK, or the result of
 * kj_context_fail; any other status becomes a 500 whose text is the status's.
 */
#ifndef KUJATA_PROCESSOR_H
#define KUJATA_PROCESSOR_H

#include <kujata/context.h>

typedef enum kj_status (*kj_process)(struct kj_context *context, void *ctx);

struct kj_processor {
    kj_process retrieve_many;
    kj_process retrieve;
    kj_process create;
    kj_process update;
    kj_process patch;  /* the sparse object; see store.h for one that fetches and applies */
    kj_process remove; /* the operation "delete" */
    kj_process info;
    void *ctx;
};

#endif
