/* gateway_ping.h - the message by which bahamut's gateways know of a service. */
#ifndef KJ_CORE_GATEWAY_PING_H
#define KJ_CORE_GATEWAY_PING_H

#include "base/buffer.h"
#include "rest/route_list.h"

#include <jansson.h>
#include <kujata/http_policy.h>
#include <stddef.h>

enum kj__gateway_status { KJ__GATEWAY_GOODBYE = 0, KJ__GATEWAY_HELLO = 1 };

struct kj__gateway_limit {
    const char *category; /* the model's */
    struct kj_rate rate;
};

/* All borrowed. A goodbye needs name, endpoint and prefix alone. */
struct kj__gateway_ping {
    enum kj__gateway_status status;
    const char *name, *endpoint, *prefix;
    const char *push_endpoint;            /* "" for none */
    double load;                          /* percent of the cores this process uses */
    const struct kj__route_lists *routes; /* NULL: none */
    const json_t *versions;               /* an object of strings; NULL: none */
    const struct kj__gateway_limit *limits;
    size_t limit_count; /* 0: none */
};

/* Appends it as msgpack: Go's field names, sorted. Check `out->failed`. */
enum kj_status kj__gateway_ping_encode(const struct kj__gateway_ping *ping, struct kj__buffer *out);

#endif
