/* openapi.c - the OpenAPI document: its frame, and what the paths refer to. */
#include "spec/parts.h"

#include "model/identity.h"

#include <stdio.h>
#include <string.h>

static const char description[] =
    "Paths name the version of the API they are of; the same ones without `/v/N` lead to the "
    "versions declared first. Bodies are JSON or MessagePack, as `Content-Type` and `Accept` say, "
    "independent of each other. In MessagePack times are the timestamp extension (-1) and bytes "
    "are bin, where schemas have `format: date-time` and `contentEncoding: base64`.";

/* ---- servers and security ---- */

static json_t *servers(struct kj__spec *spec)
{
    const char *url = spec->options.server_url ? spec->options.server_url : "";
    const char *prefix = spec->options.api_prefix ? spec->options.api_prefix : "";
    size_t len = strlen(url);
    len -= len > 0 && url[len - 1] == '/';
    bool is_empty = len == 0 && !*prefix;
    return json_pack("[{s:o}]", "url",
                     is_empty ? json_string("/") : json_sprintf("%.*s%s", (int)len, url, prefix));
}

static json_t *security_schemes(struct kj__spec *spec)
{
    json_t *schemes = kj__spec_object(spec);
    kj__spec_set(spec, schemes, "bearer",
                 json_pack("{s:s, s:s}", "type", "http", "scheme", "bearer"));
    if (spec->options.token_cookie) {
        kj__spec_set(spec, schemes, "cookie",
                     json_pack("{s:s, s:s, s:s}", "type", "apiKey", "in", "cookie", "name",
                               spec->options.token_cookie));
    }
    if (spec->options.token_in_query) {
        kj__spec_set(
            spec, schemes, "query",
            json_pack("{s:s, s:s, s:s}", "type", "apiKey", "in", "query", "name", "token"));
    }
    return schemes;
}

/* Any one of the schemes will do. */
static json_t *security(struct kj__spec *spec, const json_t *schemes)
{
    json_t *any_of = kj__spec_array(spec);
    const char *name;
    json_t *ignored;
    json_object_foreach((json_t *)schemes, name, ignored)
    {
        kj__spec_append(spec, any_of, json_pack("{s:[]}", name));
    }
    return any_of;
}

/* ---- schemas ---- */

static bool has_operation(const struct kj__spec *spec, const struct kj_identity *identity,
                          unsigned operations)
{
    for (size_t i = 0; i < spec->model->relation_count; i++) {
        const struct kj__relation *relation = &spec->model->relations[i];
        if (relation->child == identity->namesake && (relation->operations & operations)) {
            return true;
        }
    }
    return false;
}

/* Those that a path refers to; HEAD alone shows nothing. */
static json_t *schemas(struct kj__spec *spec)
{
    static const unsigned operations[] = {
        [KJ__SPEC_SHOWN] = KJ_OP_ALL & ~(unsigned)KJ_OP_INFO,
        [KJ__SPEC_CREATE] = KJ_OP_CREATE,
        [KJ__SPEC_UPDATE] = KJ_OP_UPDATE,
        [KJ__SPEC_PATCH] = KJ_OP_PATCH,
    };
    json_t *made = kj__spec_object(spec);
    for (size_t i = 0; i < spec->model->identity_count; i++) {
        const struct kj_identity *identity = &spec->model->identities[i];
        for (unsigned form = KJ__SPEC_SHOWN; form <= KJ__SPEC_PATCH; form++) {
            if (has_operation(spec, identity, operations[form])) {
                char name[KJ__SPEC_NAME_MAX];
                kj__spec_schema_name(identity, (enum kj__spec_form)form, name);
                kj__spec_set(spec, made, name,
                             kj__spec_schema(spec, identity, (enum kj__spec_form)form));
            }
        }
    }
    kj__spec_set(spec, made, "error", kj__spec_error_schema(spec));
    kj__spec_set(spec, made, "errors",
                 json_pack("{s:s, s:s, s:o, s:i}", "type", "array", "description",
                           "The status of the answer is the code of the first.", "items",
                           kj__spec_ref(spec, "schemas", "error"), "minItems", 1));
    return made;
}

static json_t *tags(struct kj__spec *spec)
{
    json_t *made = kj__spec_array(spec);
    for (size_t i = 0; i < spec->model->identity_count; i++) {
        const struct kj_identity *identity = &spec->model->identities[i];
        if (identity->namesake == identity && has_operation(spec, identity, KJ_OP_ALL)) {
            json_t *tag = json_pack("{s:s}", "name", identity->name);
            kj__spec_describe(spec, tag, identity->description, NULL);
            kj__spec_append(spec, made, tag);
        }
    }
    return made;
}

/* ---- the document ---- */

static json_t *components(struct kj__spec *spec)
{
    json_t *made = kj__spec_object(spec);
    kj__spec_set(spec, made, "schemas", schemas(spec));
    kj__spec_set(spec, made, "parameters", kj__spec_parameter_components(spec));
    kj__spec_set(spec, made, "headers", kj__spec_header_components(spec));
    kj__spec_set(spec, made, "responses", kj__spec_response_components(spec));
    return made;
}

enum kj_status kj_spec_openapi(const struct kj_model *model, const struct kj_spec_options *options,
                               json_t **document, struct kj_error *error)
{
    struct kj__spec spec;
    *document = NULL;
    enum kj_status status = kj__spec_init(&spec, model, options, error);
    if (status) {
        return status;
    }
    json_t *made = kj__spec_object(&spec);
    kj__spec_set_text(&spec, made, "openapi", "3.1.0");
    kj__spec_set(&spec, made, "info", kj__spec_info(&spec, description));
    kj__spec_set(&spec, made, "servers", servers(&spec));
    json_t *schemes = spec.options.needs_token ? security_schemes(&spec) : NULL;
    kj__spec_set(&spec, made, "security",
                 schemes ? security(&spec, schemes) : kj__spec_array(&spec));
    kj__spec_set(&spec, made, "tags", tags(&spec));
    kj__spec_set(&spec, made, "paths", kj__spec_paths(&spec));
    json_t *parts = components(&spec);
    if (schemes) {
        kj__spec_set(&spec, parts, "securitySchemes", schemes);
    }
    kj__spec_set(&spec, made, "components", parts);
    return kj__spec_finish_take(&spec, made, document, error);
}
