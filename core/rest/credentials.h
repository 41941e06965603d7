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

/* A browser adds cookies and certificates to what other sites' pages ask for too; such a page says
 * who it is, and they do not count then. */
bool kj__credentials_are_meant(const struct kj_context *context);

#endif
