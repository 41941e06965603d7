/* server_spec.h - the documents of kujata/spec.h as a server has them under /_meta. */
#ifndef KJ_CORE_SERVER_SPEC_H
#define KJ_CORE_SERVER_SPEC_H

#include "rest/api.h"

#include <kujata/error.h>
#include <kujata/server.h>

/* Adds them to the API, unless `http` says not to. The options have their defaults in place, but
 * their own `http` is not looked at. KJ_EINVAL with `error` naming the option, or KJ_ENOMEM. */
enum kj_status kj__server_spec_add(const struct kj_server_options *options,
                                   const struct kj_http_policy *http, struct kj__api *api,
                                   struct kj_error *error);

#endif
