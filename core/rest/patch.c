/* patch.c - see patch.h. */
#include "rest/patch.h"

#include "rest/request.h"

#include <assert.h>
#include <stdio.h>

bool kj__patch_is_by_update(const struct kj_processor *processor, enum kj_operation operation)
{
    return operation == KJ_OP_PATCH && !processor->patch && processor->fetch && processor->update;
}

static enum kj_status refuse_missing(struct kj_context *context)
{
    const struct kj_request *request = &context->request;
    char text[KJ_ERROR_TEXT_MAX];
    (void)snprintf(text, sizeof text, "cannot find %s with ID %s",
                   kj_identity_name(request->identity), request->object_id);
    struct kj_api_error error = {.code = 404, .title = "Object not found", .description = text};
    return kj_context_fail(context, &error);
}

static enum kj_status fetch(struct kj_context *context, const struct kj_processor *processor,
                            json_t **stored)
{
    *stored = NULL;
    enum kj_status status = processor->fetch(context, stored, processor->ctx);
    if (kj__context_has_failed(context)) {
        return KJ_EREFUSED;
    }
    return status == KJ_ENOTFOUND ? refuse_missing(context) : status;
}

enum kj_status kj__patch_by_update(struct kj_context *context, const struct kj_processor *processor)
{
    json_t *stored;
    json_t *whole = NULL;
    enum kj_status status = fetch(context, processor, &stored);
    if (!status) {
        assert(json_is_object(stored));
        status = kj_context_apply(context, stored, &whole);
    }
    json_decref(stored);
    if (status) {
        return status;
    }
    json_decref(context->input);
    context->input = whole;
    /* For the processor it is an update like any other. */
    context->request.operation = KJ_OP_UPDATE;
    status = processor->update(context, processor->ctx);
    context->request.operation = KJ_OP_PATCH;
    return status;
}
