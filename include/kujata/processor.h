/* processor.h - the functions that serve one identity.
 *
 * A NULL entry answers 501. Each function runs on an HTTP worker, several at once, and may
 * take its time: it holds up one worker, no shard. Return KJ_OK, or the result of
 * kj_context_fail; any other status becomes a 500 whose text is the status's, KJ_ENOTFOUND too.
 *
 * What was asked for is in kj_context_request, what was sent in kj_context_input. What
 * kj_context_set_output_take sets is the answer and, when it is an object and the operation a
 * create, update, patch or delete, the event that goes out behind it; without output the answer is
 * a 204 and there is no event. An ID for a create comes from kj_object_id_make, X-Count-Total from
 * kj_context_set_count. See examples/lamps.c.
 */
#ifndef KUJATA_PROCESSOR_H
#define KUJATA_PROCESSOR_H

#include <kujata/context.h>

typedef enum kj_status (*kj_process)(struct kj_context *context, void *ctx);

/* The stored form of the object the request names, as a new reference. KJ_ENOTFOUND makes a 404,
 * anything else is as with kj_process. */
typedef enum kj_status (*kj_fetch)(struct kj_context *context, json_t **object, void *ctx);

struct kj_processor {
    kj_process retrieve_many;
    kj_process retrieve;
    kj_process create;
    kj_process update;
    kj_process patch;  /* the sparse object; see kj_context_apply */
    kj_process remove; /* the operation "delete" */
    kj_process info;

    /* With `fetch` and `update` and no `patch`, a patch is made of these: the stored object is
     * fetched, the members sent are applied, the whole is validated, and goes to `update` as the
     * input of one. What another write changes between the two is lost, unless `update` looks. */
    kj_fetch fetch;
    void *ctx;
};

#endif
