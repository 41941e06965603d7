/* credentials.c - see credentials.h. */
#include "rest/credentials.h"

#include "base/cookie.h"
#include "base/origin.h"
#include "rest/context.h"

#include <string.h>
#include <strings.h>

static const char bearer[] = "Bearer ";

static const char *unless_empty(const char *text)
{
    return text && *text ? text : NULL;
}

bool kj__credentials_are_meant(const struct kj_context *context)
{
    return kj__origin_is_allowed(kj_context_header(context, "Origin"),
                                 kj_context_header(context, "Host"),
                                 context->credentials->allowed_origins);
}

static bool find_cookie(struct kj_context *context, const char *name)
{
    const char *header = kj_context_header(context, "Cookie");
    const char *value;
    size_t len;
    if (!header || !kj__cookie_find(header, name, &value, &len) || len == 0 ||
        !kj__credentials_are_meant(context)) {
        return true;
    }
    context->cookie = strndup(value, len);
    context->token = context->cookie;
    return context->cookie != NULL;
}

bool kj__credentials_find(struct kj_context *context)
{
    const struct kj__credentials *credentials = context->credentials;
    const char *header = kj_context_header(context, "Authorization");
    if (header && strncasecmp(header, bearer, strlen(bearer)) == 0) {
        context->token = unless_empty(header + strlen(bearer));
    }
    if (!context->token && credentials->cookie && !find_cookie(context, credentials->cookie)) {
        return false;
    }
    if (!context->token && credentials->in_query) {
        context->token = unless_empty(kj_context_parameter(context, "token"));
    }
    return true;
}
