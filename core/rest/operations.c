/* operations.c - see api.h. The checks come in bahamut's order: version, headers, path and
 * query; rates; relations; authenticators; authorizers; read-only; processor; body; then the
 * call itself, its events and its answer.
 */
#include "base/clock.h"
#include "base/log.h"
#include "model/filter.h"
#include "model/identity.h"
#include "rest/answer.h"
#include "rest/api.h"
#include "rest/body.h"
#include "rest/documents.h"
#include "rest/patch.h"
#include "rest/repeat.h"
#include "rest/request.h"
#include "rest/trace.h"

#include <stdlib.h>
#include <string.h>

enum { NS_PER_US = 1000 };

void kj__api_init(struct kj__api *api, const struct kj_model *model, struct kj__counters *counters)
{
    *api = (struct kj__api){.model = model, .counters = counters};
    kj__map_init(&api->processors);
    kj__map_init(&api->documents);
    kj__policy_init(&api->policy);
}

void kj__api_fini(struct kj__api *api)
{
    kj__policy_fini(&api->policy);
    kj__documents_fini(&api->documents);
    kj__map_fini(&api->processors, free);
}

enum kj_status kj__api_register(struct kj__api *api, const char *identity,
                                const struct kj_processor *processor)
{
    if (!identity) {
        if (api->has_fallback) {
            return KJ_EEXIST;
        }
        api->fallback = *processor;
        api->has_fallback = true;
        return KJ_OK;
    }
    if (!kj_model_identity(api->model, identity)) {
        return KJ_ENOTFOUND;
    }
    if (kj__map_get(&api->processors, identity)) {
        return KJ_EEXIST;
    }
    struct kj_processor *copy = malloc(sizeof *copy);
    if (!copy) {
        return KJ_ENOMEM;
    }
    *copy = *processor;
    if (!kj__map_put(&api->processors, identity, copy, NULL)) {
        free(copy);
        return KJ_ENOMEM;
    }
    return KJ_OK;
}

/* As bahamut names them: collections by category, objects by name. */
static const char *refused_operation(enum kj_operation operation)
{
    switch (operation) {
    case KJ_OP_RETRIEVE_MANY:
        return "RetrieveMany";
    case KJ_OP_RETRIEVE:
        return "Retrieve";
    case KJ_OP_CREATE:
        return "Create";
    case KJ_OP_UPDATE:
        return "Update";
    case KJ_OP_PATCH:
        return "Patch";
    case KJ_OP_DELETE:
        return "Delete";
    default:
        return "Info";
    }
}

static enum kj_status refuse_operation(struct kj_context *context)
{
    const struct kj_request *request = &context->request;
    const char *on = "";
    if (request->identity) {
        bool is_many = request->operation & (KJ_OP_RETRIEVE_MANY | KJ_OP_INFO);
        on = is_many ? kj_identity_category(request->identity)
                     : kj_identity_name(request->identity);
    }
    return kj__context_refuse(context, 405, "bahamut", "%s operation not allowed on %s",
                              refused_operation(request->operation), on);
}

static enum kj_status check_rate(const struct kj__api *api, struct kj_context *context)
{
    static struct kj__log_limit limit;
    int64_t wait_ns = kj__policy_take(&api->policy, context->request.identity);
    if (wait_ns == 0) {
        return KJ_OK;
    }
    KJ__COUNT(api->counters, http_rate_limited);
    kj__log_limited(&limit, KJ__LOG_WARNING, "rest",
                    "a request of %s was refused: see request_rate (--rate-limit) and "
                    "identity_rates (--rate-limit-identity)",
                    context->request.remote_address);
    context->retry_after_ns = wait_ns;
    return kj_context_fail(context, &kj__too_many);
}

static enum kj_status check_lock(const struct kj__api *api, struct kj_context *context)
{
    const struct kj_request *request = &context->request;
    if (!kj__policy_is_locked(&api->policy, request->identity, request->operation)) {
        return KJ_OK;
    }
    KJ__COUNT(api->counters, http_locked);
    context->is_audited = false; /* as in bahamut: nobody was turned away */
    return kj__context_refuse(context, 423, "bahamut",
                              "This api is currently locked. Please try again later");
}

/* An unknown parent allows nothing; bahamut takes it for the root. */
static enum kj_status check_relations(const struct kj__api *api, struct kj_context *context)
{
    const struct kj_request *request = &context->request;
    bool has_parent = !context->route.has_parent || request->parent_identity;
    bool allowed = request->identity && has_parent &&
                   kj__model_allows(api->model, request->parent_identity, request->identity,
                                    request->operation);
    return allowed ? KJ_OK : refuse_operation(context);
}

/* A refusal without words of its own gets these. */
static enum kj_status refuse_access(struct kj_context *context, int code, const char *text)
{
    if (kj__context_has_failed(context)) {
        return KJ_EREFUSED;
    }
    return kj__context_refuse(context, code, "bahamut", "%s", text);
}

static const char *first_error(const struct kj_context *context, const char *member)
{
    const char *text = json_string_value(
        json_object_get(json_array_get(context->errors, 0), member));
    return text ? text : "";
}

/* Anything but a clear word for it is a refusal; so is an error left by a handler that let the
 * call pass, which would be found only once the processor has done its work. */
static bool is_refused(const struct kj_context *context, enum kj_auth verdict)
{
    return (verdict != KJ_AUTH_ACCEPT && verdict != KJ_AUTH_CONTINUE) ||
           kj__context_has_failed(context);
}

static enum kj_status authenticate(const struct kj__api *api, struct kj_context *context)
{
    enum kj_auth verdict = KJ_AUTH_CONTINUE;
    for (size_t i = 0; i < api->authenticator_count && verdict == KJ_AUTH_CONTINUE; i++) {
        const struct kj_request_authenticator *handler = &api->authenticators[i];
        if (handler->authenticate) {
            verdict = handler->authenticate(context, handler->ctx);
        }
    }
    if (!is_refused(context, verdict)) {
        return KJ_OK;
    }
    static struct kj__log_limit limit;
    KJ__COUNT(api->counters, auth_refused);
    enum kj_status status = refuse_access(context, 401,
                                          "You are not authorized to access this resource.");
    kj__log_limited(&limit, KJ__LOG_WARNING, "rest", "a call from %s was not authenticated: %s",
                    context->request.remote_address, first_error(context, "description"));
    return status;
}

static enum kj_status authorize(const struct kj__api *api, struct kj_context *context)
{
    enum kj_auth verdict = KJ_AUTH_CONTINUE;
    for (size_t i = 0; i < api->authorizer_count && verdict == KJ_AUTH_CONTINUE; i++) {
        const struct kj_authorizer *handler = &api->authorizers[i];
        if (handler->authorize) {
            verdict = handler->authorize(context, handler->ctx);
        }
    }
    if (!is_refused(context, verdict)) {
        return KJ_OK;
    }
    KJ__COUNT(api->counters, access_refused);
    return refuse_access(context, 403, "You are not allowed to access this resource.");
}

static kj_process function_of(const struct kj_processor *processor, enum kj_operation operation)
{
    switch (operation) {
    case KJ_OP_RETRIEVE_MANY:
        return processor->retrieve_many;
    case KJ_OP_RETRIEVE:
        return processor->retrieve;
    case KJ_OP_CREATE:
        return processor->create;
    case KJ_OP_UPDATE:
        return processor->update;
    case KJ_OP_PATCH:
        return processor->patch;
    case KJ_OP_DELETE:
        return processor->remove;
    default:
        return processor->info;
    }
}

static const struct kj_processor *processor_of(const struct kj__api *api, const char *identity)
{
    const struct kj_processor *own = kj__map_get(&api->processors, identity);
    return own ? own : &api->fallback;
}

static void count_over_bytes(const struct kj__api *api, const struct kj_context *context)
{
    static struct kj__log_limit limit;
    KJ__COUNT(api->counters, lists_over_bytes);
    if (kj__context_has_failed(context)) {
        kj__log_limited(&limit, KJ__LOG_WARNING, "rest",
                        "a page of %s was refused: its objects are more than %u bytes"
                        " (page_bytes, --limit-page-bytes)",
                        kj_identity_name(context->request.identity), (unsigned)api->page_bytes);
    }
}

static enum kj_status process(const struct kj__api *api, struct kj_context *context)
{
    const struct kj_request *request = &context->request;
    const char *identity = kj_identity_name(request->identity);
    const struct kj_processor *processor = processor_of(api, identity);
    kj_process function = function_of(processor, request->operation);
    bool is_by_update = !function && kj__patch_is_by_update(processor, request->operation);
    if (!function && !is_by_update) {
        return kj__context_refuse(context, 501, "bahamut", "No handler for operation %s on %s",
                                  kj_operation_name(request->operation), identity);
    }
    enum kj_status status = kj__request_select(context);
    if (!status) {
        status = kj__body_read(context);
    }
    if (!status) {
        context->was_processed = true;
        status = is_by_update ? kj__patch_by_update(context, processor)
                              : function(context, processor->ctx);
    }
    if (context->filter) {
        KJ__COUNT_BY(api->counters, query_filters_cut, kj__filter_cut(context->filter));
    }
    if (context->is_over_bytes) {
        count_over_bytes(api, context);
    }
    return !status && kj__context_has_failed(context) ? KJ_EREFUSED : status;
}

static const char *event_type(enum kj_operation operation)
{
    switch (operation) {
    case KJ_OP_CREATE:
        return KJ_EVENT_CREATE;
    case KJ_OP_UPDATE:
    case KJ_OP_PATCH:
        return KJ_EVENT_UPDATE;
    case KJ_OP_DELETE:
        return KJ_EVENT_DELETE;
    default:
        return NULL;
    }
}

/* Publishes with what traces the request. An event may be shared, and so a copy carries it. */
static void publish_traced(const struct kj__api *api, const struct kj_context *context,
                           struct kj_event *event)
{
    struct kj_event *traced = NULL;
    if (context->tracking && kj_event_with_tracking(event, context->tracking, &traced)) {
        KJ__COUNT(api->counters, tracking_ignored); /* the event matters more */
    }
    api->publish(traced ? traced : event, api->publish_ctx);
    kj_event_unref(traced);
}

static void publish_output(const struct kj__api *api, const struct kj_context *context)
{
    static struct kj__log_limit limit;
    const struct kj_identity *identity = context->request.identity;
    const char *type = event_type(context->request.operation);
    if (!type || context->push_disabled || !json_is_object(context->output)) {
        return;
    }
    struct kj_event *event;
    enum kj_status status = kj_event_new(identity, type, context->output, &event);
    if (status) {
        KJ__COUNT(api->counters, events_publish_failed);
        kj__log_limited(&limit, KJ__LOG_WARNING, "rest", "no %s event for a %s: %s", type,
                        kj_identity_name(identity), kj_status_text(status));
        return;
    }
    publish_traced(api, context, event);
    kj_event_unref(event);
}

static void publish(const struct kj__api *api, const struct kj_context *context)
{
    if (!api->publish) {
        return;
    }
    for (size_t i = 0; i < context->event_count; i++) {
        publish_traced(api, context, context->events[i]);
    }
    publish_output(api, context);
}

static enum kj_status run(const struct kj__api *api, struct kj_context *context,
                          struct kj__http_response *response)
{
    enum kj_status status = process(api, context);
    if (status) {
        return status;
    }
    publish(api, context);
    return kj__answer_success(context, response);
}

/* A request that repeats another gets its answer. */
static enum kj_status run_once(const struct kj__api *api, struct kj_context *context,
                               struct kj__http_response *response)
{
    struct kj__idempotency_id id;
    enum kj_status status = KJ_OK;
    switch (kj__repeat_begin(api->idempotency, context, response, &id, &status)) {
    case KJ__REPEAT_UNKEYED:
        return run(api, context, response);
    case KJ__REPEAT_FIRST:
        status = run(api, context, response);
        if (status) {
            kj__answer_errors(context, status, response);
        }
        kj__repeat_finish(api->idempotency, context, response, &id);
        return KJ_OK; /* its errors are answered */
    default:
        return status;
    }
}

static enum kj_status operate(const struct kj__api *api, struct kj_context *context,
                              struct kj__http_response *response)
{
    context->is_call = true;
    enum kj_status status = kj__request_parse(context, api);
    if (!status) {
        status = check_rate(api, context);
    }
    if (!status) {
        status = kj__trace_read(context->http->headers, api->counters, &context->tracking);
    }
    if (!status) {
        status = check_relations(api, context);
    }
    context->is_audited = !status;
    if (!status) {
        status = authenticate(api, context);
    }
    if (!status) {
        status = authorize(api, context);
    }
    if (!status) {
        status = check_lock(api, context);
    }
    return status ? status : run_once(api, context, response);
}

static void audit(const struct kj__api *api, const struct kj_context *context, int status,
                  int64_t started_ns)
{
    const struct kj_audit_outcome outcome = {
        .status = status,
        .error_title = kj__context_has_failed(context) ? first_error(context, "title") : NULL,
        .duration_us = (uint64_t)(kj__clock_monotonic_ns() - started_ns) / NS_PER_US,
    };
    enum kj_status kept = api->audit.audit(context, &outcome, api->audit.ctx);
    if (!kept) {
        KJ__COUNT(api->counters, audit_records);
        return;
    }
    static struct kj__log_limit limit;
    KJ__COUNT(api->counters, audit_lost);
    kj__log_limited(&limit, KJ__LOG_ERROR, "rest", "an audit record (--audit) was lost: %s",
                    kj_status_text(kept));
}

/* A path that others may ask for, but not by this method, or, as in bahamut, any path at all
 * with CORS: OPTIONS is routed everywhere then. */
static enum kj_status refuse_path(const struct kj__api *api, struct kj_context *context,
                                  struct kj__http_response *response)
{
    if (context->route.kind == KJ__ROUTE_OTHER_METHOD || api->policy.cors.origin) {
        response->status = 405;
        return KJ_OK;
    }
    return kj__context_refuse(context, 404, "bahamut", "Unable to find the requested resource");
}

/* Answers by the route; anything but KJ_OK still owes the response its errors. */
static enum kj_status answer(const struct kj__api *api, struct kj_context *context,
                             struct kj__http_response *response)
{
    const struct kj__document *document = kj__documents_find(&api->documents, context->http);
    if (document) {
        return kj__document_answer(document, response);
    }
    if (strcmp(context->http->method, "OPTIONS") == 0 &&
        (api->policy.cors.origin || strcmp(context->http->path, "*") == 0)) {
        return kj__answer_options(context, response);
    }
    switch (context->route.kind) {
    case KJ__ROUTE_ROOT:
        response->status = 200;
        return KJ_OK;
    case KJ__ROUTE_OPERATION:
        return operate(api, context, response);
    default:
        return refuse_path(api, context, response);
    }
}

/* The API lies behind the prefix, where there is one; without it there is the root. */
static bool parse_route(const struct kj__api *api, const struct kj__http_request *request,
                        struct kj__route *route)
{
    const char *path = kj__policy_route_path(&api->policy, request->path);
    if (!path) {
        kj__route_parse_outside(route, request->method, request->path);
        return true;
    }
    return kj__route_parse(route, request->method, path, api->policy.prefix != NULL);
}

void kj__api_handle(const struct kj__api *api, const struct kj__http_request *request,
                    struct kj__http_response *response)
{
    struct kj_context context;
    int64_t started_ns = kj__clock_monotonic_ns();
    KJ__COUNT(api->counters, http_requests);
    bool ready = kj__context_init(&context, request, &api->credentials, &api->policy) &&
                 parse_route(api, request, &context.route);
    enum kj_status status = ready ? answer(api, &context, response) : KJ_ENOMEM;
    if (status) {
        kj__answer_errors(&context, status, response);
    }
    kj__answer_finish(&context, response);
    if (response->status >= 500) {
        KJ__COUNT(api->counters, http_errors_5xx);
    } else if (response->status >= 400) {
        KJ__COUNT(api->counters, http_errors_4xx);
    }
    if (context.is_audited && api->audit.audit) {
        audit(api, &context, response->status, started_ns);
    }
    kj__context_fini(&context);
}
