/* server_spec.c - see server_spec.h. */
#include "core/server_spec.h"

#include <jansson.h>
#include <kujata/spec.h>
#include <stdlib.h>
#include <string.h>

static const char media_type_json[] = "application/json; charset=UTF-8";

static const char *unless_empty(const char *text)
{
    return text && *text ? text : NULL;
}

/* What this server does; where it is, it cannot know. */
static struct kj_spec_options options_of(const struct kj_server_options *server,
                                         const struct kj_http_policy *http)
{
    const char *title = unless_empty(http->spec_title);
    return (struct kj_spec_options){
        .title = title ? title : unless_empty(http->service_name),
        .version = http->spec_version,
        .server_url = http->spec_url,
        .api_prefix = unless_empty(http->api_prefix),
        .push_endpoint = server->push_endpoint,
        .page_objects = server->limits.page_objects,
        .strict_flags = server->strict_flags,
        .ignore_idempotency_keys = server->ignore_idempotency_keys,
        .token_cookie = unless_empty(server->token_cookie),
        .token_in_query = server->token_in_query,
        .needs_token = server->request_authenticator_count > 0,
        .public_reads = http->spec_public_reads,
    };
}

static enum kj_status add_take(struct kj__api *api, const char *path, json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT);
    enum kj_status status = text ? kj__api_add_document(api, path, media_type_json, text,
                                                        strlen(text))
                                 : KJ_ENOMEM;
    free(text);
    json_decref(document);
    return status;
}

enum kj_status kj__server_spec_add(const struct kj_server_options *options,
                                   const struct kj_http_policy *http, struct kj__api *api,
                                   struct kj_error *error)
{
    if (http->no_meta_routes) {
        return KJ_OK;
    }
    struct kj_spec_options spec = options_of(options, http);
    json_t *document;
    enum kj_status status = kj_spec_openapi(api->model, &spec, &document, error);
    if (!status) {
        status = add_take(api, "/_meta/openapi.json", document);
    }
    if (!status && options->pubsub) {
        spec.needs_token = options->session_authenticator_count > 0;
        status = kj_spec_asyncapi(api->model, &spec, &document, error);
        if (!status) {
            status = add_take(api, "/_meta/asyncapi.json", document);
        }
    }
    if (status == KJ_ENOMEM) {
        kj_error_set(error, 0, "no memory for the documents under /_meta");
    }
    return status;
}
