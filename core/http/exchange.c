/* exchange.c - see exchange.h. */
#include "http/exchange.h"

#include "codec/encoding.h"
#include "rest/api.h"

#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

/* The text of a second is kept: strftime looks at the time zone's file each time. */
static void append_date(struct kj__buffer *head)
{
    static _Thread_local char text[64];
    static _Thread_local time_t of = -1;
    time_t now = time(NULL);
    if (now != of) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
        of = now;
    }
    kj__buffer_append_text(head, text);
}

/* civetweb's own rule: it keeps a connection whose request says keep-alive, and one of HTTP/1.1
 * that says nothing. */
static void append_connection(struct kj__buffer *head, struct mg_connection *connection,
                              bool must_close)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *header = mg_get_header(connection, "Connection");
    bool is_old = !info || !info->http_version || strcmp(info->http_version, "1.1") != 0;
    bool is_kept = !must_close && (header ? strcasestr(header, "keep-alive") != NULL : !is_old);
    if (!is_kept) {
        kj__buffer_append_text(head, "Connection: close\r\n");
    } else if (is_old) {
        kj__buffer_append_text(head, "Connection: keep-alive\r\n");
    }
}

int kj__exchange_find(const struct mg_connection *connection)
{
#if KJ__OWN_CIVETWEB
    return kj__civetweb_socket(connection);
#else
    struct kj__http *http = kj__http_of(connection);
    const struct mg_request_info *info = mg_get_request_info(connection);
    const struct kj__handover_peer peer = {.address = info ? info->remote_addr : "",
                                           .port = info ? (uint16_t)info->remote_port : 0,
                                           .local_port = http->port};
    return kj__handover_find(&http->handover, &peer);
#endif
}

const char *kj__exchange_remote_address(const struct mg_connection *connection,
                                        const struct kj__fields *headers,
                                        char text[KJ__PROXIED_ADDRESS_SIZE])
{
    static const char mapped[] = "::ffff:";
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *ipv4 = info->remote_addr + sizeof mapped - 1;
    bool is_mapped = strncasecmp(info->remote_addr, mapped, sizeof mapped - 1) == 0;
    const char *peer = is_mapped && strchr(ipv4, '.') ? ipv4 : info->remote_addr;
    const struct kj__proxies *proxies = kj__http_of(connection)->options.proxies;
    return proxies ? kj__proxies_client(proxies, peer, headers, text) : peer;
}

const char *kj__exchange_path(const struct mg_request_info *info)
{
    return info->local_uri_raw ? info->local_uri_raw : info->request_uri;
}

static const char *reason_phrase(int status)
{
    /* civetweb misspells this one. */
    return status == 422 ? "Unprocessable Entity" : mg_get_response_code_text(NULL, status);
}

static void append_status(struct kj__buffer *head, int status)
{
    kj__buffer_append_text(head, "HTTP/1.1 ");
    kj__buffer_append_number(head, (uint64_t)status);
    kj__buffer_append_byte(head, ' ');
    kj__buffer_append_text(head, reason_phrase(status));
    kj__buffer_append_text(head, "\r\n");
}

/* A value somebody else chose must not start a header of its own. */
static void append_header(struct kj__buffer *head, const char *name, const char *value)
{
    kj__buffer_append_text(head, name);
    kj__buffer_append_text(head, ": ");
    size_t start = head->len;
    kj__buffer_append_text(head, value);
    for (size_t i = start; i < head->len; i++) {
        if (head->data[i] == '\r' || head->data[i] == '\n') {
            head->data[i] = ' ';
        }
    }
    kj__buffer_append_text(head, "\r\n");
}

void kj__exchange_append_headers(struct kj__buffer *head, const struct kj__fields *headers)
{
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(headers, &cursor, &name, &value)) {
        append_header(head, name, value);
    }
}

static bool is_head(const struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    return info && info->request_method && strcmp(info->request_method, "HEAD") == 0;
}

void kj__exchange_send(struct mg_connection *connection, struct kj__http_response *response,
                       bool must_close)
{
    struct kj__http *http = kj__http_of(connection);
    struct kj__buffer out;
    /* Of the others a client reads none: it would take one for its next answer. */
    bool has_body = response->status != 204 && response->status != 304;
    /* A client that may ask again keeps its worker, which others may be waiting for. */
    must_close = must_close || http->options.no_keep_alive ||
                 kj__door_is_crowded(&http->door, mg_get_request_info(connection)->remote_addr);
    kj__buffer_init(&out);
    append_status(&out, response->status);
    kj__exchange_append_headers(&out, &response->headers);
    append_date(&out);
    if (has_body) {
        kj__buffer_append_text(&out, "Content-Length: ");
        kj__buffer_append_number(&out, response->body.len);
        kj__buffer_append_text(&out, "\r\n");
    }
    append_connection(&out, connection, must_close);
    kj__buffer_append_text(&out, "\r\n");
    if (!is_head(connection) && has_body) {
        kj__buffer_append(&out, response->body.data, response->body.len);
    }
    if (must_close) {
        mg_disable_connection_keep_alive(connection);
    }
    struct kj__guard_entry guarded;
    kj__guard_enter(&http->guard, &guarded, kj__exchange_find(connection), SHUT_RDWR,
                    http->options.exchange_timeout_ms);
    bool is_sent = !out.failed && mg_write(connection, out.data, out.len) == (int)out.len;
    kj__guard_leave(&http->guard, &guarded);
    if (!is_sent) {
        KJ__COUNT(http->options.counters, http_write_failed);
        mg_disable_connection_keep_alive(connection);
    }
    kj__buffer_fini(&out);
}

/* A subscriber reads no other encoding than the one it asked for; REST clients go by the
 * Content-Type, and bahamut answers JSON while it does not know more. */
static enum kj_encoding error_encoding(const struct mg_connection *connection)
{
    enum kj_encoding encoding;
    int status;
    struct kj_error error;
    return kj__upgrade_is_meant(connection) &&
                   !kj__negotiate_accept(mg_get_header(connection, "Accept"), &encoding, &status,
                                         &error)
               ? encoding
               : KJ_ENCODING_JSON;
}

void kj__exchange_fill_error(const struct mg_connection *connection,
                             struct kj__http_response *response, int status,
                             const char *description)
{
    kj__http_response_error(response, error_encoding(connection),
                            &(struct kj_api_error){.code = status,
                                                   .title = reason_phrase(status),
                                                   .description = description,
                                                   .subject = "kujata"});
}

void kj__exchange_send_error(struct mg_connection *connection, int status, const char *description)
{
    struct kj__http_response response;
    kj__http_response_init(&response);
    kj__exchange_fill_error(connection, &response, status, description);
    kj__exchange_send(connection, &response, true);
    kj__http_response_fini(&response);
}

bool kj__exchange_read_headers(const struct mg_request_info *info, struct kj__fields *headers)
{
    for (int i = 0; i < info->num_headers; i++) {
        if (!kj__fields_add(headers, info->http_headers[i].name, info->http_headers[i].value)) {
            return false;
        }
    }
    return true;
}

/* How many lines a header has; *value gets the last. */
static int count_header(const struct mg_request_info *info, const char *name, const char **value)
{
    int count = 0;
    for (int i = 0; i < info->num_headers; i++) {
        if (strcasecmp(info->http_headers[i].name, name) == 0) {
            *value = info->http_headers[i].value;
            count++;
        }
    }
    return count;
}

/* Where a body ends must not be a matter of opinion: a proxy in front of us may hold another
 * (RFC 9112 6.3, 11.2). */
static const char *find_length_fault(const struct mg_request_info *info)
{
    const char *length = "";
    const char *coding = "";
    int lengths = count_header(info, "Content-Length", &length);
    int codings = count_header(info, "Transfer-Encoding", &coding);
    if (lengths + codings > 1) {
        return "A request has one Content-Length or one Transfer-Encoding";
    }
    if (lengths && (!*length || length[strspn(length, "0123456789")] || strlen(length) > 18)) {
        return "Content-Length is not a number";
    }
    if (codings && (strcasecmp(coding, "chunked") != 0 || strcmp(info->http_version, "1.1") != 0)) {
        return "The only Transfer-Encoding is chunked, in HTTP/1.1";
    }
    return NULL;
}

const char *kj__exchange_find_fault(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    if (strcmp(info->http_version, "1.1") != 0 && strcmp(info->http_version, "1.0") != 0) {
        return "This HTTP version is not supported";
    }
    if (strcmp(info->http_version, "1.1") == 0 && !mg_get_header(connection, "Host")) {
        return "missing required Host header";
    }
    const char *host;
    if (count_header(info, "Host", &host) > 1) {
        return "A request has one Host"; /* RFC 9112 3.2 */
    }
    /* civetweb looks for the path of "http://host?x=/y" behind its question mark. */
    if (info->local_uri_raw &&
        info->local_uri_raw > info->request_uri + strlen(info->request_uri)) {
        return "The target is neither a path nor a URL with one";
    }
    return find_length_fault(info);
}

void kj__exchange_refuse(struct mg_connection *connection, int status, const char *description)
{
    KJ__COUNT(kj__http_of(connection)->options.counters, http_malformed);
    kj__exchange_send_error(connection, status, description);
}
