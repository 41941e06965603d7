/* documents.c - see documents.h and api.h. */
#include "rest/documents.h"

#include "rest/api.h"

#include <stdlib.h>
#include <string.h>

/* As with the redirects of a processor. */
static const char redirect_type[] = "application/json; charset=UTF-8";

struct kj__document {
    char *content_type;
    char *location; /* of a redirect; else NULL */
    size_t len;
    uint8_t bytes[];
};

static void free_document(void *value)
{
    struct kj__document *document = value;
    free(document->location);
    free(document->content_type);
    free(document);
}

void kj__documents_fini(struct kj__map *documents)
{
    kj__map_fini(documents, free_document);
}

/* Takes the document over, be it NULL or not whole for want of memory. */
static enum kj_status add_take(struct kj__api *api, const char *path, struct kj__document *document,
                               bool is_whole)
{
    if (is_whole && kj__map_put(&api->documents, path, document, NULL)) {
        return KJ_OK;
    }
    if (document) {
        free_document(document);
    }
    return KJ_ENOMEM;
}

static struct kj__document *new_document(const char *content_type, const void *bytes, size_t len)
{
    struct kj__document *document = malloc(sizeof *document + len);
    if (document) {
        *document = (struct kj__document){.content_type = strdup(content_type), .len = len};
        memcpy(document->bytes, bytes, len);
    }
    return document;
}

enum kj_status kj__api_add_document(struct kj__api *api, const char *path, const char *content_type,
                                    const void *bytes, size_t len)
{
    if (kj__map_get(&api->documents, path)) {
        return KJ_EEXIST;
    }
    struct kj__document *document = new_document(content_type, bytes, len);
    return add_take(api, path, document, document && document->content_type);
}

enum kj_status kj__api_add_redirect(struct kj__api *api, const char *path, const char *location)
{
    if (kj__map_get(&api->documents, path)) {
        return KJ_EEXIST;
    }
    struct kj__document *document = new_document(redirect_type, "", 0);
    if (document) {
        document->location = strdup(location);
    }
    return add_take(api, path, document, document && document->content_type && document->location);
}

const struct kj__document *kj__documents_find(const struct kj__map *documents,
                                              const struct kj__http_request *request)
{
    bool is_read = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    return is_read && documents->count ? kj__map_get(documents, request->path) : NULL;
}

enum kj_status kj__document_answer(const struct kj__document *document,
                                   struct kj__http_response *response)
{
    struct kj__fields *headers = &response->headers;
    response->status = document->location ? 302 : 200;
    kj__buffer_append(&response->body, document->bytes, document->len);
    bool is_whole = !response->body.failed &&
                    kj__fields_add(headers, "Accept", "application/msgpack,application/json") &&
                    kj__fields_add(headers, "Content-Type", document->content_type) &&
                    (!document->location ||
                     kj__fields_add(headers, "Location", document->location));
    return is_whole ? KJ_OK : KJ_ENOMEM;
}
