/* announce.h - a node that tells gateways of itself; see kujata/announce.h.
 *
 * Threads: one of its own sends the hellos; the goodbye is sent, and waited for, by the thread
 * that stops the server.
 */
#ifndef KJ_CORE_ANNOUNCE_H
#define KJ_CORE_ANNOUNCE_H

#include "base/counters.h"
#include "rest/api.h"
#include "rest/route_list.h"

#include <kujata/error.h>
#include <kujata/server.h>

struct kj__announce;

/* Checks and copies what `options` say; *announce is NULL where they say nothing. KJ_EINVAL with
 * `error` naming the option, or KJ_ENOMEM. */
enum kj_status kj__announce_new(const struct kj_server_options *options,
                                struct kj__counters *counters, struct kj__announce **announce,
                                struct kj_error *error);
void kj__announce_free(struct kj__announce *announce); /* after stop; NULL is fine */

/* Says hello from now on, of the processors registered by now. NULL is fine. */
enum kj_status kj__announce_start(struct kj__announce *announce, const struct kj__api *api);

/* Says goodbye and waits for a gateway to acknowledge it, within the time allowed. A no-op
 * without a start, and for NULL. */
void kj__announce_stop(struct kj__announce *announce);

#endif
