/* dress.c - see dress.h. */
#include "rest/dress.h"

#include "rest/compress.h"

#include <strings.h>

/* Compression is for calls of the API alone. */
static bool add_compression(const struct kj_context *context, struct kj__http_response *response,
                            struct kj__fields *extra)
{
    if (!context->is_call || context->policy->no_compression) {
        return true;
    }
    bool is_packed = kj__accepts_gzip(kj_context_header(context, "Accept-Encoding")) &&
                     kj__compress(&response->body);
    return (!is_packed || kj__fields_add(extra, "Content-Encoding", "gzip")) &&
           kj__fields_add(extra, "Vary", "Accept-Encoding");
}

/* Both are ordered by name, and have no name in common. */
static bool merge(const struct kj__fields *headers, const struct kj__fields *extra,
                  struct kj__fields *merged)
{
    size_t at[2] = {0, 0};
    const struct kj__fields *from[2] = {headers, extra};
    const char *name[2];
    const char *value[2];
    bool has[2] = {kj__fields_next(headers, &at[0], &name[0], &value[0]),
                   kj__fields_next(extra, &at[1], &name[1], &value[1])};
    bool is_whole = true;
    while (is_whole && (has[0] || has[1])) {
        int next = !has[0] || (has[1] && strcasecmp(name[1], name[0]) < 0);
        is_whole = kj__fields_add(merged, name[next], value[next]);
        has[next] = kj__fields_next(from[next], &at[next], &name[next], &value[next]);
    }
    return is_whole;
}

bool kj__answer_dress(const struct kj_context *context, struct kj__http_response *response)
{
    size_t none = 0;
    const char *name;
    const char *value;
    if (!kj__fields_next(&response->headers, &none, &name, &value)) {
        return true;
    }
    struct kj__fields extra;
    struct kj__fields merged;
    kj__fields_init(&extra, true);
    kj__fields_init(&merged, true);
    bool is_whole = kj__cors_put(&context->policy->cors, kj_context_header(context, "Origin"),
                                 context->is_preflight, &extra) &&
                    add_compression(context, response, &extra) &&
                    merge(&response->headers, &extra, &merged);
    kj__fields_fini(&extra);
    if (!is_whole) {
        kj__fields_fini(&merged);
        return false;
    }
    kj__fields_fini(&response->headers);
    response->headers = merged;
    return true;
}
