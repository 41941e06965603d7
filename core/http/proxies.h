/* proxies.h - proxies we are behind, and whom they ask for.
 *
 * X-Forwarded-For is text that anybody may send. Each proxy appends the address it was asked
 * from, so the list is read from its end, and only as far as trusted proxies have written it:
 * the first address that is none of theirs is the client's.
 *
 * Threads: built by one thread, read by all HTTP workers afterwards.
 */
#ifndef KJ_HTTP_PROXIES_H
#define KJ_HTTP_PROXIES_H

#include "base/fields.h"

#include <kujata/error.h>
#include <kujata/status.h>
#include <stddef.h>

enum { KJ__PROXIED_ADDRESS_SIZE = 48 };

struct kj__proxies {
    struct kj__network *networks;
    size_t count;
};

/* Reads "ADDR" or "ADDR/BITS" each, NULL at the end (or in place of all). KJ_EINVAL with
 * `error`, or KJ_ENOMEM; fini is due in any case, and fine for one of zeros. */
enum kj_status kj__proxies_init(struct kj__proxies *proxies, const char *const *texts,
                                struct kj_error *error);
void kj__proxies_fini(struct kj__proxies *proxies);

/* The client of a request that came from `peer`: `peer` itself, or text in `address`. */
const char *kj__proxies_client(const struct kj__proxies *proxies, const char *peer,
                               const struct kj__fields *headers,
                               char address[KJ__PROXIED_ADDRESS_SIZE]);

#endif
