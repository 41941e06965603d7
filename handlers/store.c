/* store.c - see kujata/store.h: what every storage needs around it to serve an identity. */
#include <kujata/store.h>

#include "handlers/store_cursor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_SIZE_DEFAULT = 100,
    TEXT_MAX = 512,
    LIST_SECONDS_MAX = 10, /* a worker is busy with one list so long */
};

void kj_store_free(struct kj_store *store)
{
    if (store) {
        store->ops->free(store);
    }
}

static enum kj_status refuse(struct kj_context *context, int code, const char *title,
                             const char *text)
{
    struct kj_api_error error = {.code = code, .title = title, .description = text};
    return kj_context_fail(context, &error);
}

static enum kj_status refuse_missing(struct kj_context *context, const struct kj_identity *identity,
                                     const char *id)
{
    char text[TEXT_MAX];
    (void)snprintf(text, sizeof text, "cannot find %s with ID %s", kj_identity_name(identity), id);
    return refuse(context, 404, "Object not found", text);
}

/* What a client may know of a storage that fails; anything else stays what it is. */
static enum kj_status explain(struct kj_context *context, enum kj_status status)
{
    switch (status) {
    case KJ_ETIMEOUT:
        return refuse(context, 503, "Service Unavailable", "The storage is busy: try again later");
    case KJ_EFULL:
        return refuse(context, 507, "Insufficient Storage", "The storage is full");
    case KJ_EIO:
        return refuse(context, 500, "Internal Server Error", "The storage failed");
    case KJ_ELIMIT:
        return refuse(context, 400, "Bad Request", "The storage cannot hold such an object");
    default:
        return status;
    }
}

static enum kj_status outcome(struct kj_context *context, enum kj_status status)
{
    const struct kj_request *request = kj_context_request(context);
    return status == KJ_ENOTFOUND ? refuse_missing(context, request->identity, request->object_id)
                                  : explain(context, status);
}

/* What is under a parent needs one. */
static enum kj_status check_parent(struct kj_context *context, struct kj_store *store)
{
    const struct kj_request *request = kj_context_request(context);
    if (!request->parent_identity) {
        return KJ_OK;
    }
    json_t *parent = NULL;
    enum kj_status status = store->ops->get(store, request->parent_identity, request->parent_id,
                                            &parent);
    json_decref(parent);
    return status == KJ_ENOTFOUND
               ? refuse_missing(context, request->parent_identity, request->parent_id)
               : status;
}

static const char *parent_type(const struct kj_request *request)
{
    return request->parent_identity ? kj_identity_name(request->parent_identity) : "root";
}

static enum kj_status set_text(json_t *object, const char *name, const char *text)
{
    return json_object_set_new(object, name, json_string(text)) ? KJ_ENOMEM : KJ_OK;
}

static enum kj_status create(struct kj_context *context, void *ctx)
{
    struct kj_store *store = ctx;
    const struct kj_request *request = kj_context_request(context);
    enum kj_status status = check_parent(context, store);
    if (status) {
        return explain(context, status);
    }
    char id[KJ_OBJECT_ID_SIZE];
    kj_object_id_make(id);
    json_t *object = json_copy(kj_context_input(context));
    status = object ? set_text(object, "ID", id) : KJ_ENOMEM;
    if (!status) {
        status = set_text(object, "parentID", request->parent_id);
    }
    if (!status) {
        status = set_text(object, "parentType", parent_type(request));
    }
    if (!status) {
        status = store->ops->insert(store, request->identity, object);
    }
    if (status) {
        json_decref(object);
        return explain(context, status);
    }
    kj_context_set_output_take(context, object);
    return KJ_OK;
}

static enum kj_status retrieve(struct kj_context *context, void *ctx)
{
    struct kj_store *store = ctx;
    const struct kj_request *request = kj_context_request(context);
    json_t *object = NULL;
    enum kj_status status = store->ops->get(store, request->identity, request->object_id, &object);
    if (!status) {
        kj_context_set_output_take(context, object);
    }
    return outcome(context, status);
}

static enum kj_status apply(json_t *object, void *ctx)
{
    json_t *result;
    enum kj_status status = kj_context_apply(ctx, object, &result);
    if (status) {
        return status;
    }
    bool done = json_object_clear(object) == 0 && json_object_update(object, result) == 0;
    json_decref(result);
    return done ? KJ_OK : KJ_ENOMEM;
}

static enum kj_status update(struct kj_context *context, void *ctx)
{
    struct kj_store *store = ctx;
    const struct kj_request *request = kj_context_request(context);
    json_t *object = NULL;
    enum kj_status status = store->ops->update(store, request->identity, request->object_id, apply,
                                               context, &object);
    if (!status) {
        kj_context_set_output_take(context, object);
    }
    return outcome(context, status);
}

static enum kj_status delete_object(struct kj_context *context, void *ctx)
{
    struct kj_store *store = ctx;
    const struct kj_request *request = kj_context_request(context);
    json_t *object = NULL;
    enum kj_status status = store->ops->remove(store, request->identity, request->object_id,
                                               &object);
    if (!status) {
        kj_context_set_output_take(context, object);
    }
    return outcome(context, status);
}

/* The query's checks let a limit stand in for the size of a page. */
static size_t page_size(const struct kj_request *request)
{
    if (request->page_size) {
        return (size_t)request->page_size;
    }
    if (request->limit) {
        return (size_t)request->limit;
    }
    bool is_small = request->largest_page && request->largest_page < PAGE_SIZE_DEFAULT;
    return is_small ? (size_t)request->largest_page : PAGE_SIZE_DEFAULT;
}

static bool is_page(const struct kj_request *request)
{
    return request->page || request->page_size;
}

/* The most objects of an answer that X-Next goes on from; 0: it has them all, or is a page. */
static size_t cut_of(const struct kj_request *request)
{
    if (is_page(request)) {
        return 0;
    }
    return (size_t)(request->limit ? request->limit : request->largest_page);
}

static struct kj_store_query query_of(const struct kj_request *request)
{
    struct kj_store_query query = {.filter = request->filter,
                                   .order = request->order,
                                   .after = request->after,
                                   .page_bytes = request->page_bytes,
                                   .time_limit_ms = LIST_SECONDS_MAX * 1000};
    if (request->parent_identity) {
        query.parent_type = parent_type(request);
        query.parent_id = request->parent_id;
    }
    if (is_page(request)) {
        query.limit = page_size(request);
        query.offset = request->page ? (size_t)(request->page - 1) * query.limit : 0;
    }
    return query;
}

/* Whether the object is in the list asked for: the place of another would tell of its values. */
static bool is_listed(const struct kj_request *request, const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "parentType"));
    const char *id = json_string_value(json_object_get(object, "parentID"));
    return !request->parent_identity || (type && id && strcmp(type, parent_type(request)) == 0 &&
                                         strcmp(id, request->parent_id) == 0);
}

/* The place of the object with an ID that the client sent, in an order. */
static enum kj_status find_place(struct kj_context *context, struct kj_store *store, const char *id,
                                 struct kj__cursor *cursor)
{
    const struct kj_request *request = kj_context_request(context);
    json_t *object = NULL;
    enum kj_status status = store->ops->get(store, request->identity, id, &object);
    if (status == KJ_ENOTFOUND || (!status && !is_listed(request, object))) {
        json_decref(object);
        return refuse(context, 400, "Bad Request", "Parameter `after` names no object");
    }
    if (!status) {
        kj__cursor_fini(cursor);
        status = kj__cursor_of(cursor, request->order, object);
    }
    json_decref(object);
    return status;
}

/* Where the list goes on. In the order of IDs that is `after` itself. */
static enum kj_status read_after(struct kj_context *context, struct kj_store *store,
                                 struct kj__cursor *cursor, struct kj_store_query *query)
{
    const struct kj_request *request = kj_context_request(context);
    bool is_marked = kj__cursor_is_marked(request->after);
    if (!*request->after || (!request->order[0] && !is_marked)) {
        return KJ_OK;
    }
    enum kj_status status = is_marked ? kj__cursor_read(cursor, request->order, request->after)
                                      : KJ_OK;
    if (status == KJ_EPARSE) {
        return refuse(context, 400, "Bad Request", "Parameter `after` does not go with `order`");
    }
    if (!status && json_array_size(cursor->keys) == 0) {
        status = find_place(context, store, is_marked ? cursor->id : request->after, cursor);
    }
    query->after = cursor->id;
    query->after_keys = cursor->keys;
    return status;
}

/* X-Next for a page that ends with `last`. */
static enum kj_status set_next(struct kj_context *context, const json_t *last)
{
    const struct kj_request *request = kj_context_request(context);
    if (!request->order[0]) {
        return kj_context_set_next(context, json_string_value(json_object_get(last, "ID")));
    }
    struct kj__cursor cursor;
    enum kj_status status = kj__cursor_of(&cursor, request->order, last);
    char *next = status ? NULL : kj__cursor_write(&cursor, request->order);
    status = next ? kj_context_set_next(context, next) : KJ_ENOMEM;
    free(next);
    kj__cursor_fini(&cursor);
    return status;
}

static enum kj_status list(struct kj_context *context, struct kj_store *store,
                           const struct kj_store_query *query, json_t **objects, size_t *total)
{
    enum kj_status status = store->ops->list(store, kj_context_request(context)->identity, query,
                                             objects, total);
    if (status == KJ_ELIMIT) {
        char text[TEXT_MAX];
        (void)snprintf(text, sizeof text, "The list takes longer than %d seconds",
                       LIST_SECONDS_MAX);
        return refuse(context, 400, "Bad Request", text);
    }
    return status;
}

/* Who got fewer objects than asked for may not look for X-Next. */
static enum kj_status tell_of_cut(struct kj_context *context, size_t count)
{
    char text[TEXT_MAX];
    (void)snprintf(text, sizeof text, "These are %zu objects of more: X-Next leads on", count);
    return kj_context_add_message(context, text);
}

/* The next page starts behind the last object of this one. There is one if the page ended for its
 * bytes, or if one object more came than is to be shown, which was asked for. */
static enum kj_status end_list(struct kj_context *context, json_t *objects, size_t cut,
                               bool is_over_bytes)
{
    if (cut && json_array_size(objects) > cut) {
        if (json_array_remove(objects, cut)) {
            return KJ_ENOMEM;
        }
    } else if (!is_over_bytes) {
        return KJ_OK;
    }
    size_t count = json_array_size(objects);
    enum kj_status status = set_next(context, json_array_get(objects, count - 1));
    bool is_as_asked = count == (size_t)kj_context_request(context)->limit;
    return status || is_as_asked ? status : tell_of_cut(context, count);
}

/* Who counts pages would go on with the next one, and never see the rest of this one. */
static enum kj_status refuse_page(struct kj_context *context)
{
    char text[TEXT_MAX];
    (void)snprintf(text, sizeof text,
                   "The page has more than %u bytes: take a smaller `pagesize`, or `limit` and"
                   " X-Next",
                   (unsigned)kj_context_request(context)->page_bytes);
    return refuse(context, 400, "Bad Request", text);
}

static enum kj_status list_objects(struct kj_context *context, struct kj_store *store,
                                   struct kj_store_query *query)
{
    const struct kj_request *request = kj_context_request(context);
    json_t *objects = NULL;
    size_t total = 0;
    size_t cut = cut_of(request);
    bool is_over_bytes = false;
    query->is_cut = &is_over_bytes;
    if (cut) {
        query->limit = cut + 1;
    }
    enum kj_status status = list(context, store, query, &objects, &total);
    if (is_over_bytes) {
        kj_context_set_over_bytes(context);
    }
    if (!status) {
        status = is_over_bytes && is_page(request) ? refuse_page(context)
                                                   : end_list(context, objects, cut, is_over_bytes);
    }
    if (status) {
        json_decref(objects);
        return status;
    }
    kj_context_set_count(context, total);
    kj_context_set_output_take(context, objects);
    return KJ_OK;
}

/* Such a key is taken, as bahamut takes it; but it is most likely a typo. */
static enum kj_status tell_of_strange_keys(struct kj_context *context)
{
    const struct kj_request *request = kj_context_request(context);
    enum kj_status status = KJ_OK;
    for (size_t i = 0; request->order[i] && !status; i++) {
        enum kj_attribute_type type;
        const char *name = request->order[i] + (request->order[i][0] == '-');
        if (!kj_identity_attribute_type(request->identity, name, &type)) {
            char text[TEXT_MAX];
            (void)snprintf(text, sizeof text, "Key %zu of `order` is no attribute of %s", i + 1,
                           kj_identity_name(request->identity));
            status = kj_context_add_message(context, text);
        }
    }
    return status;
}

static enum kj_status retrieve_many(struct kj_context *context, void *ctx)
{
    struct kj_store *store = ctx;
    struct kj_store_query query = query_of(kj_context_request(context));
    struct kj__cursor cursor = {.id = NULL};
    enum kj_status status = check_parent(context, store);
    if (!status) {
        status = read_after(context, store, &cursor, &query);
    }
    if (!status) {
        status = list_objects(context, store, &query);
    }
    if (!status) {
        status = tell_of_strange_keys(context);
    }
    kj__cursor_fini(&cursor);
    return explain(context, status);
}

static enum kj_status info(struct kj_context *context, void *ctx)
{
    struct kj_store *store = ctx;
    const struct kj_request *request = kj_context_request(context);
    struct kj_store_query query = query_of(request);
    query.order = NULL;
    query.after = NULL;
    size_t total = 0;
    enum kj_status status = check_parent(context, store);
    if (!status) {
        status = list(context, store, &query, NULL, &total);
    }
    kj_context_set_count(context, total);
    return explain(context, status);
}

struct kj_processor kj_store_processor(struct kj_store *store)
{
    const struct kj_store_ops *ops = store->ops;
    assert(ops->insert && ops->get && ops->update && ops->remove && ops->list && ops->free);
    (void)ops;
    return (struct kj_processor){.retrieve_many = retrieve_many,
                                 .retrieve = retrieve,
                                 .create = create,
                                 .update = update,
                                 .patch = update,
                                 .remove = delete_object,
                                 .info = info,
                                 .ctx = store};
}
