/* responses.c - the answers of operations: what succeeds, and what is refused with which code. */
#include "spec/parts.h"

#include <string.h>

enum {
    READS = KJ_OP_RETRIEVE_MANY | KJ_OP_RETRIEVE | KJ_OP_INFO,
    WRITES = KJ_OP_ALL & ~READS,
    WITH_BODY = KJ_OP_CREATE | KJ_OP_UPDATE | KJ_OP_PATCH,
};

enum condition { ALWAYS = 0, WITH_TOKENS, WITH_KEYS };

static const struct refusal {
    const char *code, *name;
    unsigned operations;
    enum condition condition;
    const char *description;
} refusals[] = {
    {"400", "BadRequest", KJ_OP_ALL, ALWAYS,
     "A version, path, header, parameter or body that cannot be read. In JSON, whatever "
     "`Accept` says, where it is not the body."},
    {"401", "Unauthorized", KJ_OP_ALL, WITH_TOKENS, "No token, or one that is not taken."},
    {"403", "Forbidden", KJ_OP_ALL, WITH_TOKENS, "The caller may not do this."},
    {"404", "NotFound", KJ_OP_ALL, ALWAYS, "There is no such object."},
    {"409", "Conflict", WITH_BODY, WITH_KEYS, "A request with this `Idempotency-Key` still runs."},
    {"413", "TooLarge", WITH_BODY, ALWAYS, "The body is over the limit."},
    {"415", "UnsupportedMediaType", KJ_OP_ALL, ALWAYS,
     "`Content-Type` or `Accept` is neither JSON nor MessagePack."},
    {"422", "Invalid", WITH_BODY, ALWAYS,
     "An object that is not valid, one error for each fault and its attribute in `data`; or an "
     "`Idempotency-Key` that came with another request."},
    {"423", "Locked", WRITES, ALWAYS, "The server is read-only."},
    {"429", "TooMany", KJ_OP_ALL, ALWAYS, "Too many requests; `Retry-After` says when to return."},
    {"500", "Failed", KJ_OP_ALL, ALWAYS, "The operation failed."},
    {"501", "NotImplemented", KJ_OP_ALL, ALWAYS, "Nothing serves the operation."},
    {"503", "Unavailable", KJ_OP_ALL, ALWAYS, "The storage is busy; try again."},
    {"507", "Full", WRITES, ALWAYS, "The storage is full."},
    {"default", "Other", KJ_OP_ALL, ALWAYS, "Any other error."},
};
enum { REFUSAL_COUNT = sizeof refusals / sizeof *refusals };

static bool may_refuse(const struct kj__spec *spec, const struct refusal *refusal,
                       unsigned operations)
{
    bool holds = refusal->condition == ALWAYS ||
                 (refusal->condition == WITH_TOKENS && spec->options.needs_token) ||
                 (refusal->condition == WITH_KEYS && !spec->options.ignore_idempotency_keys);
    return holds && (refusal->operations & operations);
}

json_t *kj__spec_content(struct kj__spec *spec, json_t *schema)
{
    json_t *content = kj__spec_object(spec);
    kj__spec_set(spec, content, "application/json", json_pack("{s:O}", "schema", schema));
    kj__spec_set(spec, content, "application/msgpack", json_pack("{s:o}", "schema", schema));
    return content;
}

/* ---- headers ---- */

static const struct header {
    const char *name, *type, *description;
} headers[] = {
    {"X-Count-Total", "integer",
     "Of lists and counts: the objects that match, whatever the page. Else 0, or what the "
     "operation counted."},
    {"X-Next", "string", "The next `after`; absent on the last page."},
    {"X-Messages", "string", "Messages for people, joined with `;`."},
    {"Retry-After", "integer", "Whole seconds."},
};
enum { COUNT_TOTAL, NEXT, MESSAGES, RETRY_AFTER, HEADER_COUNT };

static bool is_header_used(const struct kj__spec *spec, size_t index)
{
    return index != NEXT || (spec->used & KJ_OP_RETRIEVE_MANY);
}

json_t *kj__spec_header_components(struct kj__spec *spec)
{
    json_t *components = kj__spec_object(spec);
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        if (is_header_used(spec, i)) {
            kj__spec_set(spec, components, headers[i].name,
                         json_pack("{s:s, s:{s:s}}", "description", headers[i].description,
                                   "schema", "type", headers[i].type));
        }
    }
    return components;
}

static void add_header(struct kj__spec *spec, json_t *to, size_t index)
{
    kj__spec_set(spec, to, headers[index].name, kj__spec_ref(spec, "headers", headers[index].name));
}

/* ---- answers ---- */

static json_t *success_headers(struct kj__spec *spec, enum kj_operation operation)
{
    json_t *made = kj__spec_object(spec);
    add_header(spec, made, COUNT_TOTAL);
    if (operation == KJ_OP_RETRIEVE_MANY) {
        add_header(spec, made, NEXT);
    }
    add_header(spec, made, MESSAGES);
    return made;
}

static json_t *success(struct kj__spec *spec, const struct kj_identity *child,
                       enum kj_operation operation)
{
    static const char *const descriptions[] = {"The objects.", "The object.",
                                               "The object that was."};
    char name[KJ__SPEC_NAME_MAX];
    kj__spec_schema_name(child, KJ__SPEC_SHOWN, name);
    json_t *schema = kj__spec_ref(spec, "schemas", name);
    bool is_list = operation == KJ_OP_RETRIEVE_MANY;
    if (is_list) {
        schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
    }
    int text = is_list ? 0 : operation == KJ_OP_DELETE ? 2 : 1;
    return json_pack("{s:s, s:o, s:o}", "description", descriptions[text], "headers",
                     success_headers(spec, operation), "content", kj__spec_content(spec, schema));
}

static json_t *refusal_headers(struct kj__spec *spec, const struct refusal *refusal)
{
    json_t *made = kj__spec_object(spec);
    if (strcmp(refusal->code, "429") == 0) {
        add_header(spec, made, RETRY_AFTER);
    }
    add_header(spec, made, COUNT_TOTAL);
    return made;
}

static json_t *refusal_response(struct kj__spec *spec, const struct refusal *refusal, bool is_head)
{
    json_t *response = json_pack("{s:s, s:o}", "description", refusal->description, "headers",
                                 refusal_headers(spec, refusal));
    if (!is_head) {
        kj__spec_set(spec, response, "content",
                     kj__spec_content(spec, kj__spec_ref(spec, "schemas", "errors")));
    }
    return response;
}

json_t *kj__spec_responses(struct kj__spec *spec, const struct kj_identity *child,
                           enum kj_operation operation, bool is_head)
{
    json_t *responses = kj__spec_object(spec);
    if (!is_head) {
        kj__spec_set(spec, responses, "200", success(spec, child, operation));
    }
    kj__spec_set(spec, responses, "204",
                 json_pack("{s:s, s:o}", "description",
                           is_head ? "It is there." : "Done; there is nothing to show.", "headers",
                           success_headers(spec, operation)));
    for (size_t i = 0; i < REFUSAL_COUNT; i++) {
        const struct refusal *refusal = &refusals[i];
        if (may_refuse(spec, refusal, (unsigned)operation)) {
            kj__spec_set(spec, responses, refusal->code,
                         is_head ? refusal_response(spec, refusal, true)
                                 : kj__spec_ref(spec, "responses", refusal->name));
        }
    }
    return responses;
}

/* Of HEAD alone none is used. */
json_t *kj__spec_response_components(struct kj__spec *spec)
{
    json_t *components = kj__spec_object(spec);
    for (size_t i = 0; i < REFUSAL_COUNT; i++) {
        if (may_refuse(spec, &refusals[i], spec->used & ~(unsigned)KJ_OP_INFO)) {
            kj__spec_set(spec, components, refusals[i].name,
                         refusal_response(spec, &refusals[i], false));
        }
    }
    return components;
}
