/* spec_json.h - the JSON form of a declaration, turned into the C form. */
#ifndef KJ_MODEL_SPEC_JSON_H
#define KJ_MODEL_SPEC_JSON_H

#include "model/walk.h"

#include <jansson.h>
#include <kujata/model.h>

/* Fills `spec`, whose strings borrow from `json` and whose arrays are its own. KJ_EINVAL with
 * `walk` at the fault, or KJ_ENOMEM. kj__model_spec_fini is due in every case. */
enum kj_status kj__model_spec_read(const json_t *json, struct kj_model_spec *spec,
                                   struct kj__walk *walk);
void kj__model_spec_fini(struct kj_model_spec *spec);

#endif
