/* event.h - what the model knows of events that others made: which members are times and bytes,
 * and which are nobody's to see. An identity the model lacks is converted as it stands.
 */
#ifndef KJ_MODEL_EVENT_H
#define KJ_MODEL_EVENT_H

#include "base/buffer.h"

#include <kujata/event.h>
#include <kujata/model.h>

/* Appends the event's wire form; `model` may be NULL. KJ_ENOMEM, or what kj_event_encode
 * returns.                                                             [any thread] */
enum kj_status kj__model_encode_event(const struct kj_model *model, const struct kj_event *event,
                                      enum kj_encoding encoding, struct kj__buffer *out);

/* A new reference to the event, or to one like it without the secrets it holds. KJ_EPARSE for an
 * entity that should have secrets and cannot be read.                  [any thread] */
enum kj_status kj__model_hide_secrets(const struct kj_model *model, const struct kj_event *event,
                                      struct kj_event **shown);

#endif
