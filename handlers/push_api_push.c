/* push_api_push.c - pushes: read whole, then published to one target after the other. */
#include "handlers/push_api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_SIZE = 24 };

/* ---- what came of it ---- */

struct outcome {
    struct push_fault fault; /* the first */
    uint64_t id;             /* of the first message that went out */
    size_t sessions, pushes;
    bool is_degraded; /* some went to this node's clients alone, for now */
    json_t *failed;   /* targets that not every message went to; NULL: there is none */
};

/* Whether it is of no use to try the next target. */
static bool is_for_all(enum kj_status status)
{
    return status != KJ_OK && status != KJ_ENOTFOUND;
}

static enum kj_status publish_item(const struct kj_push_api *api, struct kj_gateway *gateway,
                                   const struct push_request *request, const char *name,
                                   const struct push_item *item, struct kj_push_receipt *receipt)
{
    const struct kj_push_options push = {.kind = request->target.kind,
                                         .name = name,
                                         .from = request->from,
                                         .op = request->op,
                                         .body = item->bytes,
                                         .body_len = item->len,
                                         .body_is_json = !request->has_bytes,
                                         .at_once = request->at_once,
                                         .speed = request->speed};
    return api->options.publish
               ? api->options.publish(gateway, &push, request->ttl_s, receipt, api->options.ctx)
               : kj_gateway_publish(gateway, &push, receipt);
}

static enum kj_status publish_to(const struct kj_push_api *api, struct kj_gateway *gateway,
                                 const struct push_request *request, const char *name,
                                 struct outcome *outcome)
{
    size_t most = 0;
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < request->item_count; i++) {
        struct kj_push_receipt receipt = {0};
        status = publish_item(api, gateway, request, name, &request->items[i], &receipt);
        if (!status) {
            outcome->id = outcome->pushes++ ? outcome->id : receipt.id;
            outcome->is_degraded |= receipt.is_degraded;
            most = receipt.reached > most ? receipt.reached : most;
        }
    }
    outcome->sessions += most;
    return status;
}

/* Without memory for it the list is shorter, but there. */
static void note_failure(struct outcome *outcome, const char *name, enum kj_status status)
{
    struct push_fault fault;
    (void)push_fail_with(&fault, status);
    if (!outcome->failed) {
        outcome->failed = json_array();
        outcome->fault = fault;
    }
    (void)json_array_append_new(outcome->failed, json_pack("{s:s, s:i, s:s}", "to", name, "status",
                                                           fault.status, "error", fault.text));
}

static void publish(const struct kj_push_api *api, struct kj_gateway *gateway,
                    const struct push_request *request, struct outcome *outcome)
{
    const char *name;
    json_t *value;
    enum kj_status status = KJ_OK;
    json_object_foreach(request->target.names, name, value)
    {
        if (!is_for_all(status)) {
            status = publish_to(api, gateway, request, name, outcome);
        }
        if (status) {
            note_failure(outcome, name, status);
        }
    }
}

/* As an answer; NULL for want of memory. */
static json_t *tell(const struct outcome *outcome)
{
    char id[ID_SIZE];
    (void)snprintf(id, sizeof id, "%016" PRIx64, outcome->id);
    json_t *told = json_pack("{s:s, s:I, s:I}", "id", id, "sessions", (json_int_t)outcome->sessions,
                             "pushes", (json_int_t)outcome->pushes);
    if (told && outcome->is_degraded && json_object_set_new(told, "degraded", json_true())) {
        json_decref(told);
        return NULL;
    }
    if (told && outcome->failed && json_object_set(told, "failed", outcome->failed)) {
        json_decref(told);
        return NULL;
    }
    return told;
}

/* Whether a session is one of this node, be it gone. */
static bool is_ours(struct kj_gateway *gateway, const char *session)
{
    return strtoul(session, NULL, 16) == kj_gateway_node(gateway);
}

/* Whether somebody of this node is meant. */
static bool has_receivers(struct kj_gateway *gateway, const struct push_target *target)
{
    const char *name;
    json_t *value;
    json_object_foreach(target->names, name, value)
    {
        if (target->kind == KJ_TOPIC_SESSION
                ? is_ours(gateway, name)
                : kj_gateway_member_count(gateway, target->kind, name) > 0) {
            return true;
        }
    }
    return false;
}

/* With the broker away a push that nobody here is meant by would reach nobody: better the caller
 * tries again than that it waits, for who knows how long. One that is kept is of use later. */
static bool check_broker(struct kj_gateway *gateway, const struct push_request *request,
                         struct push_fault *fault)
{
    return request->ttl_s > 0 || !kj_gateway_is_degraded(gateway) ||
           has_receivers(gateway, &request->target) ||
           push_fail(fault, 503, "the broker is away, and nobody it is for is on this node");
}

/* Reads and publishes one. `*left` is how many messages there may still be. False with the fault in
 * the outcome when nothing went out. */
static bool run(const struct kj_push_api *api, struct kj_gateway *gateway, const json_t *body,
                size_t *left, struct outcome *outcome)
{
    struct push_request request = {.item_count = 0};
    bool is_good = push_read(api, body, &request, &outcome->fault);
    size_t wanted = is_good ? json_object_size(request.target.names) * request.item_count : 0;
    if (is_good && wanted > *left) {
        is_good = push_fail(&outcome->fault, 413, "more than %u messages to all targets",
                            api->options.pushes);
    }
    is_good = is_good && check_broker(gateway, &request, &outcome->fault);
    if (is_good) {
        *left -= wanted;
        publish(api, gateway, &request, outcome);
        is_good = outcome->pushes > 0;
    }
    push_release(&request);
    return is_good;
}

/* ---- the routes ---- */

void push_handle_push(struct kj_exchange *exchange, void *ctx)
{
    const struct kj_push_api *api = ctx;
    struct kj_gateway *gateway;
    const json_t *body;
    struct outcome outcome = {.id = 0};
    size_t left = api->options.pushes;
    if (!push_begin(api, exchange, &gateway, &body)) {
        return;
    }
    if (run(api, gateway, body, &left, &outcome)) {
        push_answer_take(exchange, 202, tell(&outcome));
    } else {
        push_refuse(exchange, &outcome.fault);
    }
    json_decref(outcome.failed);
}

/* One push of a batch, as an answer of its own; NULL for want of memory. */
static json_t *run_one(const struct kj_push_api *api, struct kj_gateway *gateway,
                       const json_t *body, size_t *left)
{
    struct outcome outcome = {.id = 0};
    bool is_good = run(api, gateway, body, left, &outcome);
    json_t *told = is_good ? tell(&outcome) : json_pack("{s:s}", "error", outcome.fault.text);
    json_decref(outcome.failed);
    if (told &&
        json_object_set_new(told, "status", json_integer(is_good ? 202 : outcome.fault.status))) {
        json_decref(told);
        return NULL;
    }
    return told;
}

void push_handle_batch(struct kj_exchange *exchange, void *ctx)
{
    static const char *const members[] = {"messages", NULL};
    const struct kj_push_api *api = ctx;
    struct kj_gateway *gateway;
    const json_t *body;
    struct push_fault fault = {.status = 0};
    size_t left = api->options.pushes;
    if (!push_begin(api, exchange, &gateway, &body)) {
        return;
    }
    const json_t *list = json_object_get(body, "messages");
    size_t count = json_array_size(list);
    if (!push_check_members(body, members, &fault)) {
        push_refuse(exchange, &fault);
        return;
    }
    if (count == 0 || count > api->options.requests) {
        kj_exchange_refuse(exchange, 400, "\"messages\" is a list of 1 to %u pushes",
                           api->options.requests);
        return;
    }
    json_t *results = json_array();
    for (size_t i = 0; results && i < count; i++) {
        /* One that cannot be told of was pushed all the same: its place is kept. */
        json_t *result = run_one(api, gateway, json_array_get(list, i), &left);
        (void)json_array_append_new(results, result ? result : json_null());
    }
    push_answer_take(exchange, 202, results ? json_pack("{s:o}", "results", results) : NULL);
}
