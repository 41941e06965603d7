/* request.c - see request.h. */
#include "rest/request.h"

#include "codec/encoding.h"
#include "model/filter.h"
#include "model/identity.h"
#include "model/parameter.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *title_of(int code)
{
    switch (code) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Not allowed";
    case 415:
        return "Unsupported Media Type";
    case 423:
        return "Locked";
    case 501:
        return "Not implemented";
    default:
        return "Internal Server Error";
    }
}

enum kj_status kj__context_refuse(struct kj_context *context, int code, const char *subject,
                                  const char *format, ...)
{
    char text[KJ_ERROR_TEXT_MAX + 128];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct kj_api_error error = {
        .code = code, .title = title_of(code), .description = text, .subject = subject};
    return kj_context_fail(context, &error);
}

static enum kj_status check_version(struct kj_context *context, const struct kj_model *model)
{
    const struct kj__route *route = &context->route;
    if (route->problem == KJ__ROUTE_BAD_VERSION) {
        return kj__context_refuse(context, 400, "bahamut", "Invalid api version number");
    }
    if (!kj__model_has_version(model, route->version)) {
        return kj__context_refuse(context, 400, "bahamut", "Unknown api version");
    }
    return KJ_OK;
}

static enum kj_status check_path(struct kj_context *context)
{
    switch (context->route.problem) {
    case KJ__ROUTE_NO_CATEGORY:
        return kj__context_refuse(context, 400, "elemental",
                                  "%s is not a valid request path: no category follows",
                                  context->http->path);
    case KJ__ROUTE_BAD_ESCAPE:
        return kj__context_refuse(context, 400, "kujata",
                                  "The path holds a bad escape, a NUL or text that is not UTF-8");
    default:
        return KJ_OK;
    }
}

static enum kj_status negotiate(struct kj_context *context)
{
    struct kj_request *request = &context->request;
    struct kj_error error = {.text = ""};
    int code = 400;
    enum kj_status status = kj__negotiate_content_type(kj_context_header(context, "Content-Type"),
                                                       &request->read_encoding, &code, &error);
    enum kj_encoding write_encoding = KJ_ENCODING_JSON;
    if (!status) {
        status = kj__negotiate_accept(kj_context_header(context, "Accept"), &write_encoding, &code,
                                      &error);
    }
    if (status) {
        return status == KJ_ENOMEM
                   ? status
                   : kj__context_refuse(context, code, "elemental", "%s", error.text);
    }
    request->write_encoding = write_encoding;
    return KJ_OK;
}

/* "Bearer token" gives a user name and a password; any other number of words gives none. */
static enum kj_status split_authorization(struct kj_context *context)
{
    const char *header = kj_context_header(context, "Authorization");
    const char *blank = header ? strchr(header, ' ') : NULL;
    if (!blank || strchr(blank + 1, ' ')) {
        return KJ_OK;
    }
    context->authorization = strdup(header);
    if (!context->authorization) {
        return KJ_ENOMEM;
    }
    context->authorization[blank - header] = '\0';
    context->request.username = context->authorization;
    context->request.password = context->authorization + (blank - header) + 1;
    return KJ_OK;
}

/* A child's URL carries its parent's version, so a child of another version is found too. */
static void find_identities(struct kj_context *context, const struct kj_model *model)
{
    const struct kj__route *route = &context->route;
    struct kj_request *request = &context->request;
    int version = route->version;
    request->identity = kj__model_by_category(model, version, route->category);
    if (!route->has_parent) {
        return;
    }
    request->parent_identity = kj__model_by_category(model, version, route->parent_category);
    if (!request->identity) {
        request->identity = kj__model_by_category(model, 0, route->category);
    }
}

static enum kj_status parse_query(struct kj_context *context, const struct kj__api *api)
{
    struct kj_request *request = &context->request;
    bool has_ends = request->identity && (request->parent_identity || !context->route.has_parent);
    struct kj__query_rules rules = {
        .operation = request->operation,
        .declared = has_ends ? kj__model_parameters(api->model, request->parent_identity,
                                                    request->identity)
                             : NULL,
        .largest_page = api->page_objects < INT_MAX ? (int)api->page_objects : INT_MAX,
        .strict_flags = api->strict_flags,
        .accepts_token = api->credentials.in_query,
    };
    request->largest_page = rules.largest_page;
    request->page_bytes = api->page_bytes;
    return kj__query_parse(&context->query, context->http->query, &rules, context->errors,
                           context->id);
}

static void fill_request(struct kj_context *context)
{
    const struct kj__route *route = &context->route;
    const struct kj__query *query = &context->query;
    struct kj_request *request = &context->request;
    const char *namespace_name = kj_context_header(context, "X-Namespace");
    const char *remote_address = context->http->remote_address;
    request->object_id = route->object_id;
    request->parent_id = route->parent_id;
    request->namespace_name = namespace_name ? namespace_name : "";
    request->remote_address = remote_address ? remote_address : "";
    request->page = query->page;
    request->page_size = query->page_size;
    request->limit = query->limit;
    request->after = query->after;
    request->recursive = query->recursive;
    request->propagated = query->propagated;
    request->override_protection = query->override_protection;
}

/* Elemental's words; the place is in the error's data. */
static enum kj_status refuse_filter(struct kj_context *context, const struct kj_error *fault)
{
    json_t *data = json_pack("{s:s, s:I}", "parameter", "q", "position",
                             (json_int_t)fault->position);
    if (!data) {
        return KJ_ENOMEM;
    }
    struct kj_api_error error = {
        .code = 400, .title = title_of(400), .description = fault->text, .data = data};
    enum kj_status status = kj_context_fail(context, &error);
    json_decref(data);
    return status;
}

static enum kj_status read_filter(struct kj_context *context)
{
    const char *text = context->query.filter_text;
    struct kj_error error = {.text = ""};
    if (!text) {
        return KJ_OK;
    }
    enum kj_status status = kj_filter_parse(text, &context->filter, &error);
    if (!status) {
        status = kj__filter_check(context->filter, context->request.identity, &error);
    }
    if (status) {
        return status == KJ_ENOMEM ? status : refuse_filter(context, &error);
    }
    context->request.filter = context->filter;
    return KJ_OK;
}

/* Where an object stands in a list would tell what no answer shows. */
static enum kj_status check_order(struct kj_context *context)
{
    for (const char *const *key = context->request.order; *key; key++) {
        const char *name = *key + (**key == '-');
        if (kj__identity_is_secret(context->request.identity, name)) {
            return kj__context_refuse(context, 400, "kujata",
                                      "Parameter `order` names the secret attribute '%s'", name);
        }
    }
    return KJ_OK;
}

enum kj_status kj__request_select(struct kj_context *context)
{
    enum kj_status status = check_order(context);
    return status ? status : read_filter(context);
}

enum kj_status kj__request_parse(struct kj_context *context, const struct kj__api *api)
{
    struct kj_request *request = &context->request;
    *request = (struct kj_request){.id = context->id,
                                   .operation = context->route.operation,
                                   .version = context->route.version,
                                   .username = "",
                                   .password = "",
                                   .after = "",
                                   .order = context->query.order};
    enum kj_status status = check_version(context, api->model);
    if (!status) {
        status = negotiate(context);
    }
    enum kj_encoding write_encoding = request->write_encoding;
    request->write_encoding = KJ_ENCODING_JSON; /* errors before the end of the parsing are JSON */
    if (!status) {
        status = check_path(context);
    }
    if (!status) {
        status = split_authorization(context);
    }
    if (!status) {
        find_identities(context, api->model);
        status = parse_query(context, api);
    }
    if (!status && !kj__credentials_find(context)) {
        status = KJ_ENOMEM;
    }
    if (!status) {
        fill_request(context);
        request->write_encoding = write_encoding;
        context->is_parsed = true;
    }
    return status;
}
