/* body.c - see body.h. */
#include "rest/body.h"

#include "codec/encoding.h"
#include "model/identity.h"
#include "rest/request.h"

/* An undecodable body is bahamut's own error; a limit is ours. */
static enum kj_status refuse_body(struct kj_context *context, enum kj_status status,
                                  const char *text)
{
    if (status == KJ_ENOMEM) {
        return status;
    }
    const char *subject = status == KJ_ELIMIT ? "kujata" : "bahamut";
    return kj__context_refuse(context, 400, subject, "%s", text);
}

static enum kj_status refuse_value(struct kj_context *context, const char *text)
{
    return kj__context_refuse(context, 400, "bahamut", "unable to decode %s: %s",
                              kj_encoding_name(context->request.read_encoding), text);
}

/* The body as a new object. Null and an empty array count as an empty object, as does no body
 * at all, but not for a patch. */
static enum kj_status decode(struct kj_context *context, json_t **object)
{
    const struct kj__http_request *http = context->http;
    *object = NULL;
    if (http->body_len == 0 && context->request.operation != KJ_OP_PATCH) {
        *object = json_object();
        return *object ? KJ_OK : KJ_ENOMEM;
    }
    json_t *value = NULL;
    struct kj_error error = {.text = ""};
    struct kj__member_kinds kinds = kj__identity_kinds(context->request.identity);
    enum kj_status status = kj__value_decode_as(context->request.read_encoding, http->body,
                                                http->body_len, &kinds, &value, &error);
    if (status) {
        return refuse_body(context, status, error.text);
    }
    if (json_is_object(value)) {
        *object = value;
        return KJ_OK;
    }
    bool is_empty = json_is_null(value) || (json_is_array(value) && !json_array_size(value));
    json_decref(value);
    if (!is_empty) {
        return refuse_value(context, "only an object can be decoded here");
    }
    *object = json_object();
    return *object ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status check(struct kj_context *context, json_t *object)
{
    const struct kj_identity *identity = context->request.identity;
    bool is_patch = context->request.operation == KJ_OP_PATCH;
    struct kj_error error = {.text = ""};
    enum kj_status status = kj__identity_conform(identity, object, !is_patch, &error);
    if (status) {
        return status == KJ_ENOMEM ? status : refuse_value(context, error.text);
    }
    if (is_patch) {
        kj__identity_drop_protected(identity, object);
    } else if (context->request.operation == KJ_OP_CREATE) {
        status = kj__identity_protect(identity, object, NULL);
    }
    if (status) {
        return status;
    }
    bool valid = kj__identity_validate(identity, object, is_patch, context->errors, context->id);
    return valid ? KJ_OK : KJ_EREFUSED;
}

enum kj_status kj__body_read(struct kj_context *context)
{
    unsigned operation = context->request.operation;
    if (!(operation & (KJ_OP_CREATE | KJ_OP_UPDATE | KJ_OP_PATCH))) {
        return KJ_OK;
    }
    json_t *object;
    enum kj_status status = decode(context, &object);
    if (!status) {
        status = check(context, object);
    }
    if (status) {
        json_decref(object);
        return status;
    }
    context->input = object;
    return KJ_OK;
}
