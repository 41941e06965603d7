/* credentials.h - where a REST call's token is looked for. */
#ifndef KJ_REST_CREDENTIALS_H
#define KJ_REST_CREDENTIALS_H

#include <stdbool.h>

struct kj_context;

/* All borrowed. Zero: `Authorization: Bearer` alone. */
struct kj__credentials {
    const char *cookie; /* its name */
    bool in_query;      /* the parameter "token" */
    const char *const *allowed_origins;
};

/* Finds what kj_context_token returns. Once the query is parsed; false when there is no memory. */
bool kj__credentials_find(struct kj_context *context);

#endif
