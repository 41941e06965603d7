/* documents.h - texts that are served as they are, such as those under /_meta. */
#ifndef KJ_REST_DOCUMENTS_H
#define KJ_REST_DOCUMENTS_H

#include "base/map.h"
#include "rest/context.h"

struct kj__document;

void kj__documents_fini(struct kj__map *documents);

/* What a GET or a HEAD asks for, or NULL. */
const struct kj__document *kj__documents_find(const struct kj__map *documents,
                                              const struct kj__http_request *request);

enum kj_status kj__document_answer(const struct kj__document *document,
                                   struct kj__http_response *response);

#endif
