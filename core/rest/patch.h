/* patch.h - a patch for processors that can fetch and update. */
#ifndef KJ_REST_PATCH_H
#define KJ_REST_PATCH_H

#include "rest/context.h"

#include <kujata/processor.h>
#include <stdbool.h>

/* Whether the operation is a patch that the processor serves so. */
bool kj__patch_is_by_update(const struct kj_processor *processor, enum kj_operation operation);

/* Fetches the object, applies the context's input, validates, and lets the processor update with
 * what came of it. */
enum kj_status kj__patch_by_update(struct kj_context *context,
                                   const struct kj_processor *processor);

#endif
