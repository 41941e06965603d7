/* push_api.c - see kujata/push_api.h: its life, what all its requests share, and kicks. */
#include "handlers/push_api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static void use_default(uint32_t *value, uint32_t fallback)
{
    if (*value == 0) {
        *value = fallback;
    }
}

enum kj_status kj_push_api_new(const struct kj_push_api_options *options, struct kj_push_api **api)
{
    *api = calloc(1, sizeof **api);
    if (!*api) {
        return KJ_ENOMEM;
    }
    struct kj_push_api_options *own = &(*api)->options;
    if (options) {
        *own = *options;
    }
    use_default(&own->targets, 1000);
    use_default(&own->items, 100);
    use_default(&own->requests, 1000);
    use_default(&own->pushes, 10000);
    return KJ_OK;
}

enum kj_status kj_push_api_add_routes(struct kj_push_api *api, struct kj_server *server,
                                      struct kj_error *error)
{
    static const struct {
        const char *method, *path;
        void (*handle)(struct kj_exchange *exchange, void *ctx);
    } routes[] = {
        {"POST", "/v1/push", push_handle_push},
        {"POST", "/v1/push/batch", push_handle_batch},
        {"POST", "/v1/kick", push_handle_kick},
        {"GET", "/v1/online", push_handle_online},
        {"POST", "/v1/online", push_handle_online_many},
        {"GET", "/v1/stats", push_handle_stats},
        {"GET", "/v1/history", push_handle_history},
    };
    size_t count = sizeof routes / sizeof *routes - !api->options.messages;
    enum kj_status status = KJ_OK;
    api->server = server;
    for (size_t i = 0; !status && i < count; i++) {
        status = kj_server_add_route(server,
                                     &(struct kj_route){.listener = KJ_LISTENER_API,
                                                        .method = routes[i].method,
                                                        .path = routes[i].path,
                                                        .handle = routes[i].handle,
                                                        .ctx = api},
                                     error);
    }
    return status;
}

void kj_push_api_free(struct kj_push_api *api)
{
    free(api);
}

/* ---- refusals and answers ---- */

bool push_fail(struct push_fault *fault, int status, const char *format, ...)
{
    va_list arguments;
    fault->status = status;
    va_start(arguments, format);
    (void)vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    return false;
}

bool push_fail_with(struct push_fault *fault, enum kj_status status)
{
    switch (status) {
    case KJ_EINVAL:
        return push_fail(fault, 400, "this cannot be pushed");
    case KJ_ELIMIT:
        return push_fail(fault, 413, "a message is larger than %d bytes", KJ_PUSH_BODY_MAX);
    case KJ_ENOTFOUND:
        return push_fail(fault, 404, "the session is gone");
    case KJ_EUNSUPPORTED:
        return push_fail(fault, 400, "\"ttl_s\": messages of this kind are not kept");
    case KJ_EFULL:
        return push_fail(fault, 429, "too much waits for the other nodes");
    default:
        return push_fail(fault, 503, "%s", kj_status_text(status));
    }
}

void push_refuse(struct kj_exchange *exchange, const struct push_fault *fault)
{
    if (fault->status == 429) {
        (void)kj_exchange_add_header(exchange, "Retry-After", "1");
    }
    kj_exchange_refuse(exchange, fault->status, "%s", fault->text);
}

void push_answer_take(struct kj_exchange *exchange, int status, json_t *value)
{
    if (kj_exchange_answer_json_take(exchange, status, value)) {
        kj_exchange_refuse(exchange, 503, "%s", kj_status_text(KJ_ENOMEM));
    }
}

bool push_begin(const struct kj_push_api *api, struct kj_exchange *exchange,
                struct kj_gateway **gateway, const json_t **body)
{
    *gateway = kj_server_gateway(api->server);
    if (!*gateway) {
        kj_exchange_refuse(exchange, 503, "clients are not served here");
        return false;
    }
    if (!body) {
        return true;
    }
    *body = kj_exchange_json(exchange);
    if (!json_is_object(*body)) {
        kj_exchange_refuse(exchange, 400, "the body is no JSON object: %s",
                           *body ? "it is another value" : kj_exchange_fault(exchange));
        return false;
    }
    return true;
}

bool push_check_members(const json_t *object, const char *const *names, struct push_fault *fault)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        const char *const *name = names;
        while (*name && strcmp(*name, key) != 0) {
            name++;
        }
        if (!*name) {
            return push_fail(fault, 400, "unknown member \"%.100s\"", key);
        }
    }
    return true;
}

/* ---- whom it is for ---- */

static bool is_name(const json_t *value, enum kj_topic_kind kind)
{
    uint64_t id;
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) &&
           (kind == KJ_TOPIC_SESSION ? kj_client_id_parse(text, &id) : kj_name_is_valid(text));
}

bool push_read_names(const struct kj_push_api *api, const json_t *list, enum kj_topic_kind kind,
                     json_t *names, struct push_fault *fault)
{
    size_t count = json_array_size(list);
    if (count == 0) {
        return push_fail(fault, 400, "a list of one or more names is needed");
    }
    if (count > api->options.targets) {
        return push_fail(fault, 400, "a list has more than %u names", api->options.targets);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        if (!is_name(value, kind)) {
            return push_fail(fault, 400, "element %zu of a list is no name of a %s", i + 1,
                             kind == KJ_TOPIC_ROOM   ? "room"
                             : kind == KJ_TOPIC_USER ? "user"
                                                     : "session");
        }
        if (json_object_set_new(names, json_string_value(value), json_true())) {
            return push_fail_with(fault, KJ_ENOMEM);
        }
    }
    return true;
}

bool push_read_target(const struct kj_push_api *api, const json_t *to, struct push_target *target,
                      struct push_fault *fault)
{
    static const char *const kinds[] = {"all", "rooms", "users", "sessions", NULL};
    *target = (struct push_target){.names = json_object()};
    if (!target->names) {
        return push_fail_with(fault, KJ_ENOMEM);
    }
    if (json_object_size(to) != 1) {
        return push_fail(fault, 400,
                         "\"to\" is an object with one of \"all\", \"rooms\", \"users\" and "
                         "\"sessions\"");
    }
    if (!push_check_members(to, kinds, fault)) {
        return false;
    }
    int kind = KJ_TOPIC_ALL;
    const json_t *value = NULL;
    for (; !value; kind += !value) {
        value = json_object_get(to, kinds[kind]);
    }
    target->kind = (enum kj_topic_kind)kind;
    if (kind != KJ_TOPIC_ALL) {
        return push_read_names(api, value, target->kind, target->names, fault);
    }
    if (!json_is_true(value)) {
        return push_fail(fault, 400, "\"all\" is true or not there");
    }
    return json_object_set_new(target->names, "", json_true()) == 0 ||
           push_fail_with(fault, KJ_ENOMEM);
}

void push_release_target(struct push_target *target)
{
    json_decref(target->names);
    target->names = NULL;
}

/* ---- kicks ---- */

struct kick {
    struct push_target target;
    uint16_t code;
    const char *reason; /* NULL: none */
};

static bool read_kick(const struct kj_push_api *api, const json_t *body, struct kick *kick,
                      struct push_fault *fault)
{
    static const char *const members[] = {"to", "code", "reason", NULL};
    const json_t *code = json_object_get(body, "code");
    const json_t *reason = json_object_get(body, "reason");
    json_int_t number = code ? json_integer_value(code) : KJ_CLOSE_KICKED;
    if (!push_check_members(body, members, fault) ||
        !push_read_target(api, json_object_get(body, "to"), &kick->target, fault)) {
        return false;
    }
    if ((code && !json_is_integer(code)) || number < 0 || number > UINT16_MAX ||
        (reason && !json_is_string(reason))) {
        return push_fail(fault, 400, "\"code\" is a close code and \"reason\" a text");
    }
    kick->code = (uint16_t)number;
    kick->reason = json_string_value(reason);
    return true;
}

static bool do_kick(struct kj_gateway *gateway, const struct kick *kick, struct push_fault *fault)
{
    const char *name;
    json_t *value;
    json_object_foreach(kick->target.names, name, value)
    {
        enum kj_status status = kj_gateway_kick(gateway, kick->target.kind, name, kick->code,
                                                kick->reason);
        if (status == KJ_EINVAL) {
            return push_fail(fault, 400,
                             "\"code\" is 1000, 1001, 1008, 1011, 1013 or 3000 to 4999, and "
                             "\"reason\" has at most 123 bytes");
        }
        if (status && status != KJ_ENOTFOUND) {
            return push_fail_with(fault, status);
        }
    }
    return true;
}

void push_handle_kick(struct kj_exchange *exchange, void *ctx)
{
    const struct kj_push_api *api = ctx;
    struct kj_gateway *gateway;
    const json_t *body;
    struct kick kick = {.code = 0};
    struct push_fault fault = {.status = 0};
    if (!push_begin(api, exchange, &gateway, &body)) {
        return;
    }
    if (read_kick(api, body, &kick, &fault) && do_kick(gateway, &kick, &fault)) {
        push_answer_take(exchange, 202, json_object());
    } else {
        push_refuse(exchange, &fault);
    }
    push_release_target(&kick.target);
}
