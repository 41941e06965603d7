/* nats_url.c - see nats_url.h. An address is nats://[USER[:PASSWORD]@]HOST[:PORT], or
 * the same with tls. */
#include "pubsub/nats_url.h"

#include "base/buffer.h"
#include "base/id.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { URLS_MAX = 64, PORT_MAX = 65535 };

static const char plain_scheme[] = "nats://";
static const char secure_scheme[] = "tls://";

static bool is_secure(const char *url, size_t len)
{
    return len >= sizeof secure_scheme - 1 &&
           memcmp(url, secure_scheme, sizeof secure_scheme - 1) == 0;
}

/* Of the scheme; 0 where there is none of ours. */
static size_t scheme_len(const char *url, size_t len)
{
    if (is_secure(url, len)) {
        return sizeof secure_scheme - 1;
    }
    bool is_plain = len >= sizeof plain_scheme - 1 &&
                    memcmp(url, plain_scheme, sizeof plain_scheme - 1) == 0;
    return is_plain ? sizeof plain_scheme - 1 : 0;
}

static bool is_port(const char *text, size_t len)
{
    long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]) || i == 5) {
            return false;
        }
        port = port * 10 + (text[i] - '0');
    }
    return port >= 1 && port <= PORT_MAX;
}

static bool is_host_byte(unsigned char byte, bool bracketed)
{
    return isalnum(byte) || byte == '.' || byte == '-' || byte == '_' || (bracketed && byte == ':');
}

/* What is wrong with HOST[:PORT], or NULL. */
static const char *fault_of_host(const char *host, size_t len)
{
    bool bracketed = len > 0 && host[0] == '[';
    size_t start = bracketed ? 1 : 0;
    size_t end = start;
    while (end < len && is_host_byte((unsigned char)host[end], bracketed)) {
        end++;
    }
    if (end == start) {
        return "has no host";
    }
    if (bracketed && (end == len || host[end++] != ']')) {
        return "has a bad host";
    }
    if (end == len) {
        return NULL;
    }
    if (host[end] != ':') {
        return "has a bad host";
    }
    return is_port(host + end + 1, len - end - 1) ? NULL : "has a bad port";
}

/* The bytes before HOST: the scheme, and the credentials if there are any. */
static size_t prefix_len(const char *url, size_t len)
{
    const char *at = memrchr(url, '@', len);
    return at ? (size_t)(at - url) + 1 : scheme_len(url, len);
}

static const char *fault_of_url(const char *url, size_t len)
{
    if (scheme_len(url, len) == 0) {
        return "does not start with nats:// or tls://";
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f) {
            return "has a blank in it";
        }
    }
    size_t prefix = prefix_len(url, len);
    return fault_of_host(url + prefix, len - prefix);
}

/* What is wrong with it beside the others, or NULL. */
static const char *fault_of_next(const struct kj__nats_urls *urls, const char *url, size_t len)
{
    if (urls->count == URLS_MAX) {
        return "is one too many";
    }
    return urls->count > 0 && urls->is_secure != is_secure(url, len)
               ? "is of another scheme than the first"
               : NULL;
}

/* Without the port, and the brackets of IPv6. */
static char *copy_host(const char *host, size_t len)
{
    const char *end = host[0] == '[' ? memchr(host, ']', len) : memchr(host, ':', len);
    const char *begin = host[0] == '[' ? host + 1 : host;
    return strndup(begin, (size_t)((end ? end : host + len) - begin));
}

static bool note_host(struct kj__nats_urls *urls, const char *host, size_t len)
{
    char *copy = copy_host(host, len);
    if (!copy) {
        return false;
    }
    if (urls->count == 0) {
        urls->host = copy;
        return true;
    }
    if (urls->host && strcmp(urls->host, copy) != 0) {
        free(urls->host);
        urls->host = NULL;
    }
    free(copy);
    return true;
}

static enum kj_status add_url(struct kj__nats_urls *urls, struct kj__buffer *shown, const char *url,
                              size_t len)
{
    size_t prefix = prefix_len(url, len);
    char *copy = strndup(url, len);
    if (!copy || !note_host(urls, url + prefix, len - prefix)) {
        free(copy);
        return KJ_ENOMEM;
    }
    urls->is_secure = is_secure(url, len);
    kj__buffer_append_text(shown, urls->count ? "," : "");
    kj__buffer_append_text(shown, urls->is_secure ? secure_scheme : plain_scheme);
    kj__buffer_append(shown, url + prefix, len - prefix);
    urls->list[urls->count++] = copy;
    return KJ_OK;
}

static enum kj_status parse_all(const char *text, struct kj__nats_urls *urls,
                                struct kj__buffer *shown, struct kj_error *error)
{
    const char *url = text;
    for (;;) {
        size_t len = strcspn(url, ",");
        const char *fault = fault_of_url(url, len);
        fault = fault ? fault : fault_of_next(urls, url, len);
        if (fault) {
            /* The text is not repeated: it may hold a password. */
            kj_error_set(
                error, (size_t)(url - text),
                "nats urls: address %d %s; write nats://HOST:PORT, several joined by commas",
                urls->count + 1, fault);
            return KJ_EINVAL;
        }
        enum kj_status status = add_url(urls, shown, url, len);
        if (status || url[len] == '\0') {
            return status;
        }
        url += len + 1;
    }
}

enum kj_status kj__nats_urls_parse(const char *text, struct kj__nats_urls *urls,
                                   struct kj_error *error)
{
    *urls = (struct kj__nats_urls){.list = calloc(URLS_MAX, sizeof(char *))};
    if (!urls->list) {
        return KJ_ENOMEM;
    }
    struct kj__buffer shown;
    kj__buffer_init(&shown);
    enum kj_status status = parse_all(text ? text : "", urls, &shown, error);
    if (!status) {
        size_t len;
        kj__buffer_append_byte(&shown, '\0');
        urls->shown = (char *)kj__buffer_take(&shown, &len);
        status = urls->shown ? KJ_OK : KJ_ENOMEM;
    }
    kj__buffer_fini(&shown);
    if (status) {
        kj__nats_urls_fini(urls);
    }
    return status;
}

void kj__nats_urls_shuffle(struct kj__nats_urls *urls)
{
    for (int left = urls->count; left > 1; left--) {
        uint32_t random;
        kj__random_bytes(&random, sizeof random);
        uint32_t chosen = random % (uint32_t)left;
        char *url = urls->list[chosen];
        urls->list[chosen] = urls->list[left - 1];
        urls->list[left - 1] = url;
    }
}

void kj__nats_urls_fini(struct kj__nats_urls *urls)
{
    for (int i = 0; i < urls->count; i++) {
        free(urls->list[i]);
    }
    free(urls->list);
    free(urls->host);
    free(urls->shown);
    *urls = (struct kj__nats_urls){0};
}
