/* parameters.h - the declared query parameters of one request, read and checked.
 *
 * Threads: belongs to one request.
 */
#ifndef KJ_REST_PARAMETERS_H
#define KJ_REST_PARAMETERS_H

#include "base/fields.h"
#include "model/parameter.h"

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stddef.h>

/* One value. */
struct kj__given {
    const struct kj__parameter *parameter; /* borrowed from the model */
    union kj__parameter_value value;       /* texts borrow from the query or the model */
    bool is_sent;                          /* false: the default */
};

struct kj__given_parameters {
    struct kj__given *at; /* values of one parameter together, in the order sent */
    size_t count, capacity;
};

void kj__given_fini(struct kj__given_parameters *given);

/* Reads from `query` what is declared for the operation, defaults included. KJ_EINVAL with the text
 * for the client in `text`, as bahamut has it, or KJ_ENOMEM. */
enum kj_status kj__given_read(struct kj__given_parameters *given,
                              const struct kj__parameters *declared, enum kj_operation operation,
                              const struct kj__fields *query, struct kj__buffer *text);

/* Whether every required parameter was sent. */
bool kj__given_suffice(const struct kj__given_parameters *given,
                       const struct kj__parameters *declared, enum kj_operation operation);

/* The value of a parameter with that index, or NULL. */
const struct kj__given *kj__given_value(const struct kj__given_parameters *given, const char *name,
                                        size_t index);

#endif
