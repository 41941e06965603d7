/* route_exchange.c - see route_exchange.h. */
#include "rest/route_exchange.h"

#include "base/cookie.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/url.h"
#include "base/utf8.h"
#include "codec/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char media_type_json[] = "application/json; charset=utf-8";

void kj__route_exchange_init(struct kj_exchange *exchange, const struct kj__http_request *http,
                             const char *const *allowed_origins)
{
    *exchange = (struct kj_exchange){.http = http, .allowed_origins = allowed_origins};
    kj__fields_init(&exchange->query, false);
    kj__fields_init(&exchange->form, false);
    kj__fields_init(&exchange->cookies, false);
    kj__fields_init(&exchange->headers, true);
    kj__buffer_init(&exchange->body);
}

void kj__route_exchange_fini(struct kj_exchange *exchange)
{
    kj__fields_fini(&exchange->query);
    kj__fields_fini(&exchange->form);
    kj__fields_fini(&exchange->cookies);
    kj__fields_fini(&exchange->headers);
    kj__buffer_fini(&exchange->body);
    json_decref(exchange->json);
    free(exchange->content_type);
    free(exchange->rest);
}

/* ---- reading ---- */

static bool is_form(const struct kj__http_request *http)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = kj__fields_get(http->headers, "Content-Type");
    size_t len = sizeof form - 1;
    return type && strncasecmp(type, form, len) == 0 && strcspn(type + len, "; \t") == 0;
}

/* Tells what is wrong with pairs; false when something is. */
static bool are_good(struct kj_exchange *exchange, enum kj__url_outcome outcome, const char *what)
{
    switch (outcome) {
    case KJ__URL_FINE:
        return true;
    case KJ__URL_NO_MEMORY:
        kj_exchange_refuse(exchange, 503, "Out of memory");
        return false;
    case KJ__URL_TOO_MANY:
        kj_exchange_refuse(exchange, 400, "The %s has more than %d fields", what,
                           KJ__ROUTE_FIELDS_MAX);
        return false;
    default:
        kj_exchange_refuse(exchange, 400, "The %s has a bad escape, or is not UTF-8", what);
        return false;
    }
}

static bool read_rest(struct kj_exchange *exchange, const struct kj__route_place *place)
{
    if (!place->is_prefix) {
        return true;
    }
    const char *rest = exchange->http->path + place->len;
    size_t len = strlen(rest);
    exchange->rest = malloc(len + 1);
    if (!exchange->rest) {
        kj_exchange_refuse(exchange, 503, "Out of memory");
        return false;
    }
    long used = kj__url_decode(rest, len, false, exchange->rest);
    if (used < 0 || !kj__utf8_is_valid((const uint8_t *)exchange->rest, (size_t)used)) {
        kj_exchange_refuse(exchange, 400, "The path has a bad escape, or is not UTF-8");
        return false;
    }
    return true;
}

bool kj__route_exchange_read(struct kj_exchange *exchange, const struct kj__route_place *place)
{
    const struct kj__http_request *http = exchange->http;
    if (!read_rest(exchange, place) ||
        !are_good(exchange,
                  kj__url_parse_pairs(http->query, strlen(http->query), KJ__ROUTE_FIELDS_MAX,
                                      &exchange->query),
                  "query")) {
        return false;
    }
    return !is_form(http) || are_good(exchange,
                                      kj__url_parse_pairs((const char *)http->body, http->body_len,
                                                          KJ__ROUTE_FIELDS_MAX, &exchange->form),
                                      "form");
}

const char *kj_exchange_method(const struct kj_exchange *exchange)
{
    return exchange->http->method;
}

const char *kj_exchange_path(const struct kj_exchange *exchange)
{
    return exchange->http->path;
}

const char *kj_exchange_rest(const struct kj_exchange *exchange)
{
    return exchange->rest ? exchange->rest : "";
}

const char *kj_exchange_remote_address(const struct kj_exchange *exchange)
{
    return exchange->http->remote_address;
}

const char *kj_exchange_header(const struct kj_exchange *exchange, const char *name)
{
    return kj__fields_get(exchange->http->headers, name);
}

const char *kj_exchange_parameter(const struct kj_exchange *exchange, const char *name)
{
    return kj__fields_get(&exchange->query, name);
}

size_t kj_exchange_parameters(const struct kj_exchange *exchange, const char *name,
                              void (*visit)(const char *value, void *ctx), void *ctx)
{
    size_t cursor = 0;
    size_t count = 0;
    const char *at;
    const char *value;
    while (kj__fields_next(&exchange->query, &cursor, &at, &value)) {
        if (strcmp(at, name) == 0) {
            visit(value, ctx);
            count++;
        }
    }
    return count;
}

const char *kj_exchange_form(const struct kj_exchange *exchange, const char *name)
{
    return kj__fields_get(&exchange->form, name);
}

/* Without memory for all of them there are fewer. */
static void read_cookies(struct kj_exchange *exchange)
{
    const char *at = kj_exchange_header(exchange, "Cookie");
    bool is_meant = kj__origin_is_allowed(kj_exchange_header(exchange, "Origin"),
                                          kj_exchange_header(exchange, "Host"),
                                          exchange->allowed_origins);
    exchange->has_cookies = true;
    while (is_meant && at && *at) {
        size_t len = strcspn(at, ";");
        const char *equals = memchr(at, '=', len);
        if (equals) {
            const char *value = equals + 1;
            size_t value_len = len - (size_t)(value - at);
            kj__cookie_trim(&value, &value_len);
            if (!kj__fields_add_len(&exchange->cookies, at, (size_t)(equals - at), value,
                                    value_len)) {
                return;
            }
        }
        at += len + (at[len] == ';');
        at += strspn(at, " ");
    }
}

const char *kj_exchange_cookie(struct kj_exchange *exchange, const char *name)
{
    if (!exchange->has_cookies) {
        read_cookies(exchange);
    }
    return kj__fields_get(&exchange->cookies, name);
}

const char *kj_exchange_token(const struct kj_exchange *exchange)
{
    static const char bearer[] = "Bearer ";
    const char *header = kj_exchange_header(exchange, "Authorization");
    size_t len = sizeof bearer - 1;
    bool is_token = header && strncasecmp(header, bearer, len) == 0 && header[len];
    return is_token ? header + len : NULL;
}

const uint8_t *kj_exchange_body(const struct kj_exchange *exchange, size_t *len)
{
    *len = exchange->http->body_len;
    return *len ? exchange->http->body : NULL;
}

json_t *kj_exchange_json(struct kj_exchange *exchange)
{
    if (!exchange->has_json) {
        exchange->has_json = true;
        enum kj_status status = kj__json_decode(exchange->http->body, exchange->http->body_len,
                                                &exchange->json, &exchange->fault);
        if (status == KJ_ENOMEM) {
            kj_error_set(&exchange->fault, 0, "Out of memory");
        }
    }
    return exchange->json;
}

const char *kj_exchange_fault(const struct kj_exchange *exchange)
{
    return exchange->fault.text;
}

/* ---- answering ---- */

static bool is_name(const char *name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (const char *at = name; *at; at++) {
        bool is_letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z');
        if (!is_letter && !(*at >= '0' && *at <= '9') && !strchr(marks, *at)) {
            return false;
        }
    }
    return name[0] != '\0';
}

static bool is_value(const char *value)
{
    for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
        if ((*at < ' ' && *at != '\t') || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Those that the listener writes itself. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"Connection", "Content-Length", "Content-Type", "Date",
                                       "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcasecmp(name, ours[i]) == 0) {
            return true;
        }
    }
    return false;
}

enum kj_status kj_exchange_add_header(struct kj_exchange *exchange, const char *name,
                                      const char *value)
{
    if (!is_name(name) || !is_value(value) || is_ours(name)) {
        return KJ_EINVAL;
    }
    if (exchange->header_count == KJ__ROUTE_HEADERS_MAX) {
        return KJ_ELIMIT;
    }
    if (!kj__fields_add(&exchange->headers, name, value)) {
        return KJ_ENOMEM;
    }
    exchange->header_count++;
    return KJ_OK;
}

/* Takes the body over, also where it fails. */
static enum kj_status answer_take(struct kj_exchange *exchange, int status,
                                  const char *content_type, struct kj__buffer *body)
{
    char *type = content_type ? strdup(content_type) : NULL;
    bool is_bad = status < 200 || status > 599 || (content_type && !is_value(content_type));
    if (is_bad || body->failed || (content_type && !type)) {
        kj__buffer_fini(body);
        free(type);
        return is_bad ? KJ_EINVAL : KJ_ENOMEM;
    }
    kj__buffer_fini(&exchange->body);
    free(exchange->content_type);
    exchange->body = *body;
    exchange->content_type = type;
    exchange->status = status;
    return KJ_OK;
}

enum kj_status kj_exchange_answer(struct kj_exchange *exchange, int status,
                                  const char *content_type, const void *bytes, size_t len)
{
    struct kj__buffer body;
    kj__buffer_init(&body);
    if (len > 0) {
        kj__buffer_append(&body, bytes, len);
    }
    return answer_take(exchange, status, content_type, &body);
}

enum kj_status kj_exchange_answer_json_take(struct kj_exchange *exchange, int status, json_t *value)
{
    struct kj__buffer body;
    kj__buffer_init(&body);
    enum kj_status encoded = value ? kj__json_encode(value, &body) : KJ_ENOMEM;
    json_decref(value);
    if (encoded) {
        kj__buffer_fini(&body);
        return encoded;
    }
    return answer_take(exchange, status, media_type_json, &body);
}

void kj_exchange_refuse(struct kj_exchange *exchange, int status, const char *format, ...)
{
    char text[KJ_ERROR_TEXT_MAX];
    struct kj__buffer body;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    kj__buffer_init(&body);
    kj__buffer_append_text(&body, "{\"error\":");
    kj__json_encode_string(text, kj__utf8_whole(text, strlen(text)), &body);
    kj__buffer_append_byte(&body, '}');
    if (answer_take(exchange, status, media_type_json, &body)) {
        kj__buffer_init(&body); /* without memory there is still a status */
        (void)answer_take(exchange, status, NULL, &body);
    }
}

void kj__route_exchange_finish(struct kj_exchange *exchange, struct kj__http_response *response)
{
    static struct kj__log_limit limit;
    if (exchange->status == 0) {
        kj__log_limited(&limit, KJ__LOG_ERROR, "routes", "%s %.200s: its handler gave no answer",
                        exchange->http->method, exchange->http->path);
        kj_exchange_refuse(exchange, 500, "Internal Server Error");
    }
    size_t cursor = 0;
    const char *name;
    const char *value;
    bool is_whole = exchange->status != 0 &&
                    (!exchange->content_type ||
                     kj__fields_add(&response->headers, "Content-Type", exchange->content_type));
    while (is_whole && kj__fields_next(&exchange->headers, &cursor, &name, &value)) {
        is_whole = kj__fields_add(&response->headers, name, value);
    }
    if (!is_whole) {
        kj__fields_fini(&response->headers);
        kj__fields_init(&response->headers, true);
        response->status = 503;
        return;
    }
    kj__buffer_fini(&response->body);
    response->body = exchange->body;
    response->status = exchange->status;
    kj__buffer_init(&exchange->body);
}
