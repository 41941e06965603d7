/* push_api_read.c - what a push is asked for with, read whole and checked. */
#include "handlers/push_api.h"

#include <stdlib.h>
#include <string.h>

enum { SPEED_MAX = 1000000 };

void push_release(struct push_request *request)
{
    push_release_target(&request->target);
    for (size_t i = 0; i < request->item_count; i++) {
        free(request->items[i].bytes);
    }
    free(request->items);
}

/* ---- messages ---- */

/* The value of a digit of base64 (RFC 4648), or -1. */
static int digit_value(char digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* False for what is no base64 with its padding. */
static bool decode(const char *text, size_t len, struct push_item *item)
{
    size_t padding = len < 4 ? 0 : (size_t)(text[len - 1] == '=') + (text[len - 2] == '=');
    uint32_t group = 0;
    if (len % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int value = i < len - padding ? digit_value(text[i]) : 0;
        if (value < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)value;
        for (int byte = 2; i % 4 == 3 && byte >= 0; byte--) {
            item->bytes[item->len++] = (uint8_t)(group >> byte * 8);
        }
    }
    item->len -= padding;
    return true;
}

static enum kj_status read_bytes(const json_t *value, struct push_item *item)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text) {
        return KJ_EPARSE;
    }
    item->bytes = malloc(len + 1);
    return !item->bytes ? KJ_ENOMEM : decode(text, len, item) ? KJ_OK : KJ_EPARSE;
}

static bool read_item(const json_t *value, struct push_request *request, struct push_fault *fault)
{
    struct push_item *item = &request->items[request->item_count++];
    enum kj_status status = request->has_bytes ? read_bytes(value, item)
                                               : kj_value_encode(KJ_ENCODING_JSON, value,
                                                                 &item->bytes, &item->len);
    if (status == KJ_EPARSE) {
        return push_fail(fault, 400, "an element of \"bytes\" is no base64");
    }
    if (!status && item->len > KJ_PUSH_BODY_MAX) {
        status = KJ_ELIMIT;
    }
    return !status || push_fail_with(fault, status);
}

static bool read_items(const struct kj_push_api *api, const json_t *body,
                       struct push_request *request, struct push_fault *fault)
{
    const json_t *items = json_object_get(body, "items");
    const json_t *bytes = json_object_get(body, "bytes");
    const json_t *list = bytes ? bytes : items;
    size_t count = json_array_size(list);
    if ((items && bytes) || count == 0 || count > api->options.items) {
        return push_fail(fault, 400, "\"items\", or else \"bytes\", is a list of 1 to %u messages",
                         api->options.items);
    }
    request->has_bytes = bytes != NULL;
    request->items = calloc(count, sizeof *request->items);
    if (!request->items) {
        return push_fail_with(fault, KJ_ENOMEM);
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_item(json_array_get(list, i), request, fault)) {
            return false;
        }
    }
    return true;
}

/* ---- how ---- */

/* A member that is a number within bounds; `fallback` where it is not there. */
static bool read_number(const json_t *body, const char *name, json_int_t max, json_int_t *number,
                        struct push_fault *fault)
{
    const json_t *value = json_object_get(body, name);
    *number = json_integer_value(value);
    if (value && (!json_is_integer(value) || *number < 0 || *number > max)) {
        return push_fail(fault, 400, "\"%s\" is a number from 0 to %" JSON_INTEGER_FORMAT, name,
                         max);
    }
    return true;
}

static bool read_options(const struct kj_push_api *api, const json_t *body,
                         struct push_request *request, struct push_fault *fault)
{
    const json_t *from = json_object_get(body, "from");
    const json_t *op = json_object_get(body, "op");
    const json_t *batch = json_object_get(body, "batch");
    json_int_t speed;
    json_int_t ttl_s;
    if (from && (!json_is_string(from) || !kj_name_is_valid(json_string_value(from)))) {
        return push_fail(fault, 400, "\"from\" is no name of a user");
    }
    if (op && !json_is_integer(op)) {
        return push_fail(fault, 400, "\"op\" is a number");
    }
    if (batch && !json_is_boolean(batch)) {
        return push_fail(fault, 400, "\"batch\" is true or false");
    }
    if (!read_number(body, "speed", SPEED_MAX, &speed, fault) ||
        !read_number(body, "ttl_s", UINT32_MAX, &ttl_s, fault)) {
        return false;
    }
    if (speed > 0 && request->target.kind != KJ_TOPIC_ALL) {
        return push_fail(fault, 400, "\"speed\" is for a push to all");
    }
    if (ttl_s > 0 && !api->options.publish) {
        return push_fail(fault, 400, "\"ttl_s\": this node keeps no messages");
    }
    request->from = json_string_value(from);
    request->op = json_integer_value(op);
    request->speed = (uint32_t)speed;
    request->ttl_s = (uint32_t)ttl_s;
    request->at_once = json_is_false(batch);
    return true;
}

bool push_read(const struct kj_push_api *api, const json_t *body, struct push_request *request,
               struct push_fault *fault)
{
    static const char *const members[] = {"to",   "items", "bytes", "op", "batch",
                                          "from", "speed", "ttl_s", NULL};
    if (!json_is_object(body)) {
        return push_fail(fault, 400, "a push is an object");
    }
    return push_check_members(body, members, fault) &&
           push_read_target(api, json_object_get(body, "to"), &request->target, fault) &&
           read_items(api, body, request, fault) && read_options(api, body, request, fault);
}
