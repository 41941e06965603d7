/* cookie.c - cookies of an answer, written as RFC 6265 4.1.1 has it. */
#include "rest/context.h"

#include <string.h>

enum { COOKIES_MAX = 64, COOKIE_BYTES_MAX = 4096 };

/* RFC 9110 5.6.2. */
static bool is_token(const char *text)
{
    static const char separators[] = "()<>@,;:\\\"/[]?={} ";
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at <= ' ' || *at >= 0x7f || strchr(separators, *at)) {
            return false;
        }
    }
    return text[0] != '\0';
}

/* Visible ASCII without those that `excluded` has; a blank where it is not excluded. */
static bool is_plain(const char *text, const char *excluded)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at < ' ' || *at >= 0x7f || strchr(excluded, *at)) {
            return false;
        }
    }
    return true;
}

static bool is_valid(const struct kj_cookie *cookie)
{
    bool is_known = cookie->same_site >= KJ_SAME_SITE_UNSET &&
                    cookie->same_site <= KJ_SAME_SITE_NONE;
    return cookie->name && is_token(cookie->name) &&
           (!cookie->value || is_plain(cookie->value, " \",;\\")) &&
           (!cookie->path || is_plain(cookie->path, ";")) &&
           (!cookie->domain || is_plain(cookie->domain, " \",;\\")) && is_known &&
           (cookie->same_site != KJ_SAME_SITE_NONE || cookie->secure);
}

static void put_attribute(struct kj__buffer *out, const char *name, const char *value)
{
    if (value) {
        kj__buffer_printf(out, "; %s=%s", name, value);
    }
}

static void print(struct kj__buffer *out, const struct kj_cookie *cookie)
{
    static const char *const same_sites[] = {NULL, "Lax", "Strict", "None"};
    kj__buffer_printf(out, "%s=%s", cookie->name, cookie->value ? cookie->value : "");
    put_attribute(out, "Path", cookie->path);
    put_attribute(out, "Domain", cookie->domain);
    if (cookie->max_age_s) {
        kj__buffer_printf(out, "; Max-Age=%d", cookie->max_age_s > 0 ? cookie->max_age_s : 0);
    }
    kj__buffer_append_text(out, cookie->http_only ? "; HttpOnly" : "");
    kj__buffer_append_text(out, cookie->secure ? "; Secure" : "");
    put_attribute(out, "SameSite", same_sites[cookie->same_site]);
}

enum kj_status kj_context_add_cookie(struct kj_context *context, const struct kj_cookie *cookie)
{
    if (!is_valid(cookie)) {
        return KJ_EINVAL;
    }
    struct kj__buffer text;
    kj__buffer_init(&text);
    print(&text, cookie);
    enum kj_status status = text.failed ? KJ_ENOMEM : KJ_OK;
    if (!status && (text.len > COOKIE_BYTES_MAX || context->cookie_count == COOKIES_MAX)) {
        status = KJ_ELIMIT;
    }
    if (!status && !kj__fields_add_len(&context->cookies, "Set-Cookie", strlen("Set-Cookie"),
                                       (const char *)text.data, text.len)) {
        status = KJ_ENOMEM;
    }
    context->cookie_count += !status;
    kj__buffer_fini(&text);
    return status;
}
