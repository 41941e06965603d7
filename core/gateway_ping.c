/* gateway_ping.c - see gateway_ping.h. */
#include "core/gateway_ping.h"

#include "codec/msgpack.h"

#include <string.h>

enum { MEMBERS = 9, LIMIT_MEMBERS = 2, ROUTE_MEMBERS = 3, FLOAT_HEAD = 0xcb };

static void put_text(struct kj__buffer *out, const char *text)
{
    kj__msgpack_put_text(out, text, strlen(text));
}

static void put_text_member(struct kj__buffer *out, const char *key, const char *value)
{
    put_text(out, key);
    put_text(out, value);
}

static void put_float(struct kj__buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    kj__buffer_append_byte(out, FLOAT_HEAD);
    for (int shift = 56; shift >= 0; shift -= 8) {
        kj__buffer_append_byte(out, (uint8_t)(bits >> shift));
    }
}

static void put_limits(struct kj__buffer *out, const struct kj__gateway_ping *ping)
{
    if (ping->limit_count == 0) {
        kj__msgpack_put_nil(out);
        return;
    }
    kj__msgpack_put_map(out, ping->limit_count);
    for (size_t i = 0; i < ping->limit_count; i++) {
        const struct kj_rate *rate = &ping->limits[i].rate;
        put_text(out, ping->limits[i].category);
        kj__msgpack_put_map(out, LIMIT_MEMBERS);
        put_text(out, "Burst");
        kj__msgpack_put_int(out, rate->burst ? rate->burst : rate->per_second);
        put_text(out, "Limit");
        put_float(out, rate->per_second);
    }
}

static void put_route(struct kj__buffer *out, const struct kj__listed_route *route)
{
    size_t verbs = 0;
    while (route->verbs[verbs]) {
        verbs++;
    }
    kj__msgpack_put_map(out, ROUTE_MEMBERS);
    put_text_member(out, "identity", route->category);
    put_text_member(out, "url", route->url);
    put_text(out, "verbs");
    kj__msgpack_put_array(out, verbs);
    for (size_t i = 0; i < verbs; i++) {
        put_text(out, route->verbs[i]);
    }
}

static void put_routes(struct kj__buffer *out, const struct kj__route_lists *routes)
{
    if (!routes) {
        kj__msgpack_put_nil(out);
        return;
    }
    kj__msgpack_put_map(out, routes->count);
    for (size_t i = 0; i < routes->count; i++) {
        const struct kj__route_list *list = &routes->lists[i];
        kj__msgpack_put_int(out, list->version);
        kj__msgpack_put_array(out, list->count);
        for (size_t k = 0; k < list->count; k++) {
            put_route(out, &list->routes[k]);
        }
    }
}

enum kj_status kj__gateway_ping_encode(const struct kj__gateway_ping *ping, struct kj__buffer *out)
{
    kj__msgpack_put_map(out, MEMBERS);
    put_text(out, "APILimiters");
    put_limits(out, ping);
    put_text_member(out, "Endpoint", ping->endpoint);
    put_text(out, "Load");
    put_float(out, ping->load);
    put_text_member(out, "Name", ping->name);
    put_text_member(out, "Prefix", ping->prefix);
    put_text_member(out, "PushEndpoint", ping->push_endpoint);
    put_text(out, "Routes");
    put_routes(out, ping->routes);
    put_text(out, "Status");
    kj__msgpack_put_int(out, ping->status);
    put_text(out, "Versions");
    if (ping->versions) {
        return kj__msgpack_encode(ping->versions, NULL, out);
    }
    kj__msgpack_put_nil(out);
    return KJ_OK;
}
