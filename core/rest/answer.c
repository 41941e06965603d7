/* answer.c - see answer.h, message.h and api.h. */
#include "rest/answer.h"

#include "codec/encoding.h"
#include "codec/error_array.h"
#include "model/identity.h"
#include "rest/api.h"
#include "rest/dress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kj_api_error kj__too_many = {.code = 429,
                                          .title = "Rate Limit",
                                          .description = "You have exceeded your rate limit",
                                          .subject = "bahamut"};

void kj__http_response_init(struct kj__http_response *response)
{
    response->status = 0;
    kj__fields_init(&response->headers, true);
    kj__buffer_init(&response->body);
}

void kj__http_response_fini(struct kj__http_response *response)
{
    kj__fields_fini(&response->headers);
    kj__buffer_fini(&response->body);
}

static void empty(struct kj__http_response *response)
{
    kj__http_response_fini(response);
    kj__http_response_init(response);
}

/* ---- headers: every answer has them ordered by name, and more from dress.c ---- */

static bool put_first_headers(enum kj_encoding encoding, struct kj__fields *headers)
{
    const char *type = encoding == KJ_ENCODING_JSON ? "application/json; charset=UTF-8"
                                                    : "application/msgpack";
    return kj__fields_add(headers, "Accept", "application/msgpack,application/json") &&
           kj__fields_add(headers, "Content-Type", type);
}

static bool put_cookies(const struct kj__fields *cookies, struct kj__fields *headers)
{
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(cookies, &cursor, &name, &value)) {
        if (!kj__fields_add(headers, name, value)) {
            return false;
        }
    }
    return true;
}

static bool put_number(const char *name, uint64_t number, struct kj__fields *headers)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    return kj__fields_add(headers, name, text);
}

static bool put_success_headers(const struct kj_context *context,
                                struct kj__http_response *response)
{
    const struct kj__buffer *messages = &context->messages;
    struct kj__fields *headers = &response->headers;
    return put_first_headers(context->request.write_encoding, headers) &&
           (!context->location || kj__fields_add(headers, "Location", context->location)) &&
           put_cookies(&context->cookies, headers) &&
           (context->location || put_number("X-Count-Total", context->count, headers)) &&
           (!messages->len || kj__fields_add_len(headers, "X-Messages", strlen("X-Messages"),
                                                 (const char *)messages->data, messages->len)) &&
           (!context->next || kj__fields_add(headers, "X-Next", context->next));
}

/* Whole seconds, and never sooner than there is a token. */
static bool put_retry_after(int64_t wait_ns, struct kj__fields *headers)
{
    enum { NS_PER_SECOND = 1000000000 };
    return wait_ns <= 0 ||
           put_number("Retry-After", ((uint64_t)wait_ns + NS_PER_SECOND - 1) / NS_PER_SECOND,
                      headers);
}

static bool put_error_headers(enum kj_encoding encoding, int64_t retry_after_ns,
                              struct kj__fields *headers)
{
    return put_first_headers(encoding, headers) && put_retry_after(retry_after_ns, headers) &&
           put_number("X-Count-Total", 0, headers);
}

/* The attributes asked for with X-Fields, one name a line. */
struct selection {
    const char **names; /* borrowed, none twice; NULL: all */
    size_t count;
};

static bool is_selected(const struct selection *selection, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < selection->count && !found; i++) {
        found = strcmp(selection->names[i], name) == 0;
    }
    return found;
}

/* Freed by its names. False when there is no memory. */
static bool read_selection(const struct kj__fields *headers, struct selection *selection)
{
    size_t cursor = 0;
    size_t capacity = 0;
    const char *name;
    const char *value;
    *selection = (struct selection){.count = 0};
    while (kj__fields_next(headers, &cursor, &name, &value)) {
        if (strcasecmp(name, "X-Fields") != 0 || is_selected(selection, value)) {
            continue;
        }
        if (selection->count == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            const char **names = realloc(selection->names, capacity * sizeof *names);
            if (!names) {
                return false;
            }
            selection->names = names;
        }
        selection->names[selection->count++] = value;
    }
    return true;
}

static json_t *selected_members(const struct selection *selection, const json_t *object)
{
    json_t *thinned = json_object();
    for (size_t i = 0; thinned && i < selection->count; i++) {
        json_t *member = json_object_get(object, selection->names[i]);
        if (member && json_object_set(thinned, selection->names[i], member)) {
            json_decref(thinned);
            thinned = NULL;
        }
    }
    return thinned;
}

/* The members selected, or all: the object itself, or a copy of its outermost level when others
 * may see it too. */
static json_t *own_object(const struct kj_context *context, const struct selection *selection,
                          json_t *object)
{
    if (selection->names) {
        return selected_members(selection, object);
    }
    bool is_ours = context->output->refcount == 1 && object->refcount == 1;
    return is_ours ? json_incref(object) : json_copy(object);
}

static enum kj_status encode_object(const struct kj_context *context,
                                    const struct selection *selection, json_t *object,
                                    struct kj__buffer *out)
{
    const struct kj_identity *identity = context->request.identity;
    enum kj_encoding encoding = context->request.write_encoding;
    if (!json_is_object(object)) {
        return kj__value_encode(encoding, object, NULL, out);
    }
    json_t *shown = own_object(context, selection, object);
    if (!shown) {
        return KJ_ENOMEM;
    }
    enum kj_status status = kj__identity_blank_secrets(identity, shown);
    if (!status) {
        struct kj__member_kinds kinds = kj__identity_kinds(identity);
        status = kj__value_encode(encoding, shown, &kinds, out);
    }
    json_decref(shown);
    return status;
}

static enum kj_status encode_list(const struct kj_context *context,
                                  const struct selection *selection, struct kj__buffer *out)
{
    bool is_json = context->request.write_encoding == KJ_ENCODING_JSON;
    size_t count = json_array_size(context->output);
    enum kj_status status = KJ_OK;
    if (is_json) {
        kj__buffer_append_byte(out, '[');
    } else {
        kj__msgpack_put_array(out, count);
    }
    for (size_t i = 0; i < count && !status; i++) {
        if (is_json && i > 0) {
            kj__buffer_append_byte(out, ',');
        }
        status = encode_object(context, selection, json_array_get(context->output, i), out);
    }
    if (is_json) {
        kj__buffer_append_byte(out, ']');
    }
    return status;
}

static enum kj_status encode_output(const struct kj_context *context, struct kj__buffer *out)
{
    struct selection selection;
    enum kj_status status = KJ_ENOMEM;
    if (read_selection(context->http->headers, &selection)) {
        status = json_is_array(context->output)
                     ? encode_list(context, &selection, out)
                     : encode_object(context, &selection, context->output, out);
    }
    free(selection.names);
    return !status && out->failed ? KJ_ENOMEM : status;
}

static int status_of(const struct kj_context *context, bool has_body)
{
    if (context->location) {
        return 302;
    }
    bool is_plain = context->status == 0 || context->status == 200;
    if (!has_body && is_plain) {
        return 204;
    }
    return context->status ? context->status : 200;
}

enum kj_status kj__answer_success(struct kj_context *context, struct kj__http_response *response)
{
    bool is_info = context->route.is_head || context->request.operation == KJ_OP_INFO;
    bool has_body = context->output && !is_info && !context->location && context->status != 204;
    response->status = status_of(context, has_body);
    enum kj_status status = has_body ? encode_output(context, &response->body) : KJ_OK;
    if (!status && !put_success_headers(context, response)) {
        status = KJ_ENOMEM;
    }
    if (status) {
        empty(response);
    }
    return status;
}

enum kj_status kj__answer_options(struct kj_context *context, struct kj__http_response *response)
{
    response->status = 200;
    context->is_preflight = context->policy->cors.origin != NULL;
    bool is_whole = !context->is_preflight ||
                    put_first_headers(KJ_ENCODING_JSON, &response->headers);
    return is_whole ? KJ_OK : KJ_ENOMEM;
}

/* What an array of errors is answered with. */
struct refusal {
    enum kj_encoding encoding;
    const json_t *errors;
    int64_t retry_after_ns;
};

/* Without memory for a body there is still a status. */
static void put_errors(struct kj__http_response *response, const struct refusal *refusal)
{
    const json_t *errors = refusal->errors;
    empty(response);
    response->status = kj__error_array_status(errors);
    if (json_array_size(errors) == 0 ||
        kj__error_array_encode(errors, refusal->encoding, &response->body) ||
        response->body.failed ||
        !put_error_headers(refusal->encoding, refusal->retry_after_ns, &response->headers)) {
        empty(response);
        response->status = kj__error_array_status(errors);
    }
}

/* Lets the application put other errors in place of these. */
static void transform(struct kj_context *context)
{
    const struct kj_error_transformer *transformer = &context->policy->transformer;
    if (!context->is_parsed || !transformer->transform) {
        return;
    }
    json_t *errors = transformer->transform(context, context->errors, transformer->ctx);
    if (json_array_size(errors) > 0) {
        json_decref(context->errors);
        context->errors = errors;
    } else {
        json_decref(errors);
    }
}

void kj__answer_errors(struct kj_context *context, enum kj_status status,
                       struct kj__http_response *response)
{
    if (!kj__context_has_failed(context)) {
        struct kj_api_error error = {.code = 500,
                                     .title = "Internal Server Error",
                                     .description = kj_status_text(status),
                                     .subject = "elemental"};
        (void)kj_context_fail(context, &error);
    }
    context->error_status = kj__error_array_status(context->errors);
    transform(context);
    put_errors(response, &(struct refusal){.encoding = context->request.write_encoding,
                                           .errors = context->errors,
                                           .retry_after_ns = context->retry_after_ns});
}

void kj__http_response_short_error(struct kj__http_response *response, enum kj_encoding encoding,
                                   const struct kj_api_error *error)
{
    kj__http_response_error(response, encoding, error);
    if (response->body.len <= KJ__SHORT_ERROR_MAX) {
        return;
    }
    /* A byte of the description takes at least one of the body. */
    size_t len = strlen(error->description);
    size_t excess = response->body.len - KJ__SHORT_ERROR_MAX;
    struct kj_error text = {{0}, 0};
    kj_error_set(&text, 0, "%.*s", len > excess ? (int)(len - excess) : 0, error->description);
    struct kj_api_error cut = *error;
    cut.description = text.text;
    kj__http_response_error(response, encoding, &cut);
}

void kj__answer_finish(const struct kj_context *context, struct kj__http_response *response)
{
    int status = response->status;
    if (!kj__answer_dress(context, response)) {
        empty(response);
        response->status = status;
    }
}

static void answer_error(struct kj__http_response *response, enum kj_encoding encoding,
                         const struct kj_api_error *error, int64_t retry_after_ns)
{
    char trace[KJ__UUID_SIZE];
    kj__uuid_make(trace);
    json_t *errors = json_array();
    if (errors) {
        (void)kj__error_array_add(errors, error, trace);
    }
    put_errors(response, &(struct refusal){.encoding = encoding,
                                           .errors = errors,
                                           .retry_after_ns = retry_after_ns});
    response->status = error->code;
    json_decref(errors);
}

void kj__http_response_error(struct kj__http_response *response, enum kj_encoding encoding,
                             const struct kj_api_error *error)
{
    answer_error(response, encoding, error, 0);
}

void kj__http_response_too_many(struct kj__http_response *response, enum kj_encoding encoding,
                                int64_t wait_ns)
{
    answer_error(response, encoding, &kj__too_many, wait_ns);
}
