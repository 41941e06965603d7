/* context.c - see context.h. */
#include "rest/context.h"

#include "codec/error_array.h"
#include "codec/status.h"
#include "model/identity.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool kj__context_init(struct kj_context *context, const struct kj__http_request *http,
                      const struct kj__credentials *credentials, const struct kj__policy *policy)
{
    *context = (struct kj_context){.http = http, .credentials = credentials, .policy = policy};
    kj__uuid_make(context->id);
    kj__query_init(&context->query);
    kj__buffer_init(&context->messages);
    kj__fields_init(&context->cookies, true);
    context->errors = json_array();
    return context->errors != NULL;
}

void kj__context_fini(struct kj_context *context)
{
    kj__claims_fini(&context->claims);
    for (size_t i = 0; i < context->event_count; i++) {
        kj_event_unref(context->events[i]);
    }
    free(context->events);
    kj__fields_fini(&context->cookies);
    free(context->location);
    free(context->next);
    kj__buffer_fini(&context->messages);
    json_decref(context->tracking);
    json_decref(context->output);
    json_decref(context->input);
    json_decref(context->errors);
    free(context->cookie);
    free(context->authorization);
    kj_filter_unref(context->filter);
    kj__query_fini(&context->query);
    kj__route_fini(&context->route);
}

bool kj__context_has_failed(const struct kj_context *context)
{
    return json_array_size(context->errors) > 0;
}

const struct kj_request *kj_context_request(const struct kj_context *context)
{
    return &context->request;
}

const char *kj_context_header(const struct kj_context *context, const char *name)
{
    return kj__fields_get(context->http->headers, name);
}

const char *kj_context_parameter(const struct kj_context *context, const char *name)
{
    return kj__fields_get(&context->query.all, name);
}

const char *kj_context_token(const struct kj_context *context)
{
    return context->token;
}

const char *kj_context_tracking(const struct kj_context *context, const char *key)
{
    return json_string_value(json_object_get(context->tracking, key));
}

const struct kj_certificate *kj_context_peer_certificate(const struct kj_context *context)
{
    const struct kj__certificate *certificate = context->http->certificate;
    return certificate && kj__credentials_are_meant(context) ? kj__certificate_seen(certificate)
                                                             : NULL;
}

json_t *kj_context_input(const struct kj_context *context)
{
    return context->input;
}

void kj_context_set_output_take(struct kj_context *context, json_t *output)
{
    json_decref(context->output);
    context->output = output;
}

json_t *kj_context_output(const struct kj_context *context)
{
    return context->output;
}

void kj_context_set_count(struct kj_context *context, size_t count)
{
    context->count = count;
}

void kj_context_set_status(struct kj_context *context, int status)
{
    assert(status >= 200 && status <= 599);
    context->status = status;
}

/* A control character would end the header line it goes into. */
static bool fits_header(const char *text)
{
    for (const unsigned char *byte = (const unsigned char *)text; *byte; byte++) {
        if (*byte < 0x20 || *byte == 0x7f) {
            return false;
        }
    }
    return true;
}

enum kj_status kj_context_add_message(struct kj_context *context, const char *message)
{
    if (!fits_header(message)) {
        return KJ_EINVAL;
    }
    struct kj__buffer *messages = &context->messages;
    if (!kj__buffer_reserve(messages, strlen(message) + 1)) {
        messages->failed = false; /* what is there stays usable */
        return KJ_ENOMEM;
    }
    if (messages->len) {
        kj__buffer_append_byte(messages, ';');
    }
    kj__buffer_append_text(messages, message);
    return KJ_OK;
}

static enum kj_status replace_header(char **place, const char *text)
{
    if (!fits_header(text)) {
        return KJ_EINVAL;
    }
    char *copy = strdup(text);
    if (!copy) {
        return KJ_ENOMEM;
    }
    free(*place);
    *place = copy;
    return KJ_OK;
}

enum kj_status kj_context_set_next(struct kj_context *context, const char *next)
{
    return replace_header(&context->next, next);
}

void kj_context_set_over_bytes(struct kj_context *context)
{
    context->is_over_bytes = true;
}

enum kj_status kj_context_set_redirect(struct kj_context *context, const char *location)
{
    return replace_header(&context->location, location);
}

enum kj_status kj_context_enqueue_event(struct kj_context *context, struct kj_event *event)
{
    size_t size = (context->event_count + 1) * sizeof(struct kj_event *);
    struct kj_event **events = realloc(context->events, size);
    if (!events) {
        return KJ_ENOMEM;
    }
    context->events = events;
    events[context->event_count++] = kj_event_ref(event);
    return KJ_OK;
}

void kj_context_disable_push(struct kj_context *context)
{
    context->push_disabled = true;
}

enum kj_status kj_context_fail(struct kj_context *context, const struct kj_api_error *error)
{
    enum kj_status status = kj__error_array_add(context->errors, error, context->id);
    return status == KJ_OK ? KJ_EREFUSED : status;
}

enum kj_status kj_context_set_claims(struct kj_context *context, const char *const *claims,
                                     size_t count)
{
    return kj__status_of_errno(kj__claims_set(&context->claims, claims, count));
}

const char *const *kj_context_claims(const struct kj_context *context, size_t *count)
{
    *count = context->claims.count;
    return (const char *const *)context->claims.items;
}

const char *kj_context_claim(const struct kj_context *context, const char *key)
{
    return kj__claims_get(&context->claims, key);
}

void kj_object_id_make(char text[KJ_OBJECT_ID_SIZE])
{
    kj__object_id_make(text);
}

_Static_assert((int)KJ_OBJECT_ID_SIZE == (int)KJ__OBJECT_ID_SIZE, "one size of object IDs");

/* What to store for a patch: the object with the members sent, whole and valid again. */
static enum kj_status patched(struct kj_context *context, const json_t *stored, json_t *object)
{
    const struct kj_identity *identity = context->request.identity;
    if (json_object_update(object, context->input)) {
        return KJ_ENOMEM;
    }
    enum kj_status status = kj__identity_protect(identity, object, stored);
    if (status) {
        return status;
    }
    bool valid = kj__identity_validate(identity, object, false, context->errors, context->id);
    return valid ? KJ_OK : KJ_EREFUSED;
}

enum kj_status kj_context_apply(struct kj_context *context, const json_t *stored, json_t **result)
{
    enum kj_operation operation = context->request.operation;
    assert(operation == KJ_OP_UPDATE || operation == KJ_OP_PATCH);
    *result = NULL;
    bool is_patch = operation == KJ_OP_PATCH;
    json_t *object = is_patch ? json_deep_copy(stored) : json_deep_copy(context->input);
    if (!object) {
        return KJ_ENOMEM;
    }
    enum kj_status status = is_patch
                                ? patched(context, stored, object)
                                : kj__identity_protect(context->request.identity, object, stored);
    if (status) {
        json_decref(object);
        return status;
    }
    *result = object;
    return KJ_OK;
}
