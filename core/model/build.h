/* build.h - from a declaration to a checked model. */
#ifndef KJ_MODEL_BUILD_H
#define KJ_MODEL_BUILD_H

#include "model/types.h"
#include "model/walk.h"

/* Checks and copies. KJ_EINVAL with `walk` at the fault, or KJ_ENOMEM. */
enum kj_status kj__model_build(const struct kj_model_spec *spec, struct kj_model **model,
                               struct kj__walk *walk);

/* One attribute of the identity where `walk` stands. `attribute` is zero at first; on failure
 * too it is to be given to kj__attribute_fini. */
enum kj_status kj__attribute_init(struct kj__attribute *attribute,
                                  const struct kj_attribute_spec *spec, struct kj__walk *walk);
void kj__attribute_fini(struct kj__attribute *attribute);

/* Whether a name may stand in topics and URLs; the fault is noted when it may not. */
enum kj_status kj__check_name(const char *name, const char *member, struct kj__walk *walk);

#endif
