/* cors.h - which pages of other origins may read our answers: bahamut's default controller.
 *
 * Threads: built by one thread, read by all HTTP workers afterwards.
 */
#ifndef KJ_REST_CORS_H
#define KJ_REST_CORS_H

#include "base/fields.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>

struct kj__cors {
    char *origin;  /* NULL: no CORS at all */
    char **others; /* origins echoed besides; NULL at the end; may be NULL */
    bool is_mirror;
};

/* Copies what kj_http_policy says; KJ_EINVAL with `error`, or KJ_ENOMEM. fini is due in any
 * case, and fine for one of zeros. */
enum kj_status kj__cors_init(struct kj__cors *cors, const char *origin, const char *const *others,
                             struct kj_error *error);
void kj__cors_fini(struct kj__cors *cors);

/* Adds what an answer to `request_origin` (NULL: none) says, ordered by name; nothing without
 * CORS. False when there is no memory. */
bool kj__cors_put(const struct kj__cors *cors, const char *request_origin, bool is_preflight,
                  struct kj__fields *headers);

#endif
