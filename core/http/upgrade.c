/* upgrade.c - websocket handshakes: prepared, answered by civetweb, handed over. */
#include "base/log.h"
#include "http/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What civetweb keeps for a connection between the callbacks of one upgrade. */
struct upgrade {
    struct kj__http *http;
    const struct kj__http_upgrade *endpoint;
    void *session;
    int civetweb_fd; /* the connection's number in civetweb */
    int fd;          /* our copy of it */
    bool is_taken;   /* the copy is the connection now */
    SSL *ssl;        /* taken too; NULL: plain */
    bool has_early_frames;
    struct kj__buffer lines; /* headers of the 101, as text; empty: none */
};

/* The upgrade whose connection civetweb is closing on this thread. */
static _Thread_local struct upgrade *leaving;

/* What a request is made of. */
struct parts {
    struct kj__fields headers;
    char address[KJ__PROXIED_ADDRESS_SIZE];
};

static bool fill_request(const struct mg_connection *connection, struct parts *parts,
                         struct kj__http_request *request)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    kj__fields_init(&parts->headers, true);
    *request = (struct kj__http_request){
        .method = info->request_method,
        .path = kj__exchange_path(info),
        .query = info->query_string ? info->query_string : "",
        .headers = &parts->headers,
    };
    if (kj__tls_certificate_of_worker(&request->certificate) ||
        !kj__exchange_read_headers(info, &parts->headers)) {
        return false;
    }
    request->remote_address = kj__exchange_remote_address(connection, &parts->headers,
                                                          parts->address);
    return true;
}

/* Whether any line of a header has the word. */
static bool names(const struct mg_connection *connection, const char *header, const char *word)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    bool is_named = false;
    for (int i = 0; i < info->num_headers && !is_named; i++) {
        is_named = strcasecmp(info->http_headers[i].name, header) == 0 &&
                   strcasestr(info->http_headers[i].value, word);
    }
    return is_named;
}

/* Why bahamut takes a request for no handshake, in its words and its order; NULL: it is one. As
 * there, any key will do that is not empty. */
static const char *find_fault(const struct mg_connection *connection)
{
    const char *version = mg_get_header(connection, "Sec-WebSocket-Version");
    const char *key = mg_get_header(connection, "Sec-WebSocket-Key");
    return !names(connection, "Connection", "upgrade")
               ? "websocket: the client is not using the websocket protocol: 'upgrade' token not "
                 "found in 'Connection' header"
           : !names(connection, "Upgrade", "websocket")
               ? "websocket: the client is not using the websocket protocol: 'websocket' token not "
                 "found in 'Upgrade' header"
           : !version || strcmp(version, "13") != 0
               ? "websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header"
           : !key || !key[0] ? "websocket: not a websocket handshake: 'Sec-WebSocket-Key' header "
                               "is missing or blank"
                             : NULL;
}

static void fill_refusal(struct mg_connection *connection, struct kj__http_response *response)
{
    const char *fault = find_fault(connection);
    kj__exchange_fill_error(connection, response, 400,
                            fault ? fault : "This is not a websocket handshake");
    if (fault) {
        kj__fields_add(&response->headers, "Sec-WebSocket-Version", "13");
    }
}

/* What civetweb does not check of RFC 6455 4.2.1. */
static bool is_handshake(struct mg_connection *connection, const struct kj__fields *headers)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    return !kj__exchange_find_fault(connection) && strcmp(info->request_method, "GET") == 0 &&
           strcmp(info->http_version, "1.1") == 0 && info->content_length <= 0 &&
           !kj__fields_get(headers, "Transfer-Encoding") && !find_fault(connection);
}

/* The endpoint at a path as it was sent, which is what a proxy has seen of it; NULL: there is
 * none. */
static const struct kj__http_upgrade *find_endpoint(const struct kj__http *http, const char *path)
{
    for (size_t i = 0; path && i < http->options.upgrade_count; i++) {
        if (strcmp(http->options.upgrades[i].path, path) == 0) {
            return &http->options.upgrades[i];
        }
    }
    return NULL;
}

/* A 101 that has no memory for them goes without. */
static void keep_lines(struct upgrade *upgrade, const struct kj__fields *headers)
{
    kj__exchange_append_headers(&upgrade->lines, headers);
    if (upgrade->lines.len > 0) {
        kj__buffer_append_byte(&upgrade->lines, '\0');
    }
}

/* False: the client was refused. */
static bool prepare(struct kj__http *http, struct mg_connection *connection,
                    struct upgrade *upgrade)
{
    const struct kj__http_upgrade *endpoint = upgrade->endpoint;
    struct kj__http_request request;
    struct parts parts;
    struct kj__http_response response;
    kj__http_response_init(&response);
    if (!fill_request(connection, &parts, &request)) {
        kj__exchange_fill_error(connection, &response, 503, "Out of memory");
    } else if (!endpoint) { /* civetweb takes what lies below a path for the path */
        kj__exchange_fill_error(connection, &response, 404,
                                "Unable to find the requested resource");
    } else if (!is_handshake(connection, &parts.headers)) {
        KJ__COUNT(http->options.counters, http_malformed);
        fill_refusal(connection, &response);
    } else {
        upgrade->session = endpoint->prepare(endpoint->ctx, &request, &response);
    }
    if (upgrade->session) {
        keep_lines(upgrade, &response.headers);
    } else {
        kj__exchange_send(connection, &response, true);
    }
    kj__http_response_fini(&response);
    kj__fields_fini(&parts.headers);
    return upgrade->session != NULL;
}

static void note_failure(struct kj__http *http, int failure)
{
    static struct kj__log_limit limit;
    struct kj__counters *counters = http->options.counters;
    if (failure == KJ__HANDOVER_GONE) {
        KJ__COUNT(counters, handover_peer_gone);
        return;
    }
    KJ__COUNT(counters, handover_failed);
    kj__log_limited(&limit, KJ__LOG_ERROR, "http", "a session was refused: %s",
                    failure == KJ__HANDOVER_AMBIGUOUS
                        ? "two connections have the same peer; listen on one address, not on all"
                        : "no descriptor is free; raise the limit of open files (ulimit -n)");
}

/* The session's descriptor is had before the 101, while the client can still be refused. */
static bool copy_socket(struct kj__http *http, struct mg_connection *connection,
                        struct upgrade *upgrade)
{
    upgrade->civetweb_fd = kj__exchange_find(connection);
    if (upgrade->civetweb_fd >= 0 && !kj__door_spare(&http->door, upgrade->civetweb_fd)) {
        kj__exchange_send_error(connection, 503, "The server is stopping");
        return false;
    }
    upgrade->fd = upgrade->civetweb_fd < 0
                      ? upgrade->civetweb_fd
                      : kj__handover_copy(&http->handover, upgrade->civetweb_fd);
    if (upgrade->fd >= 0) {
        return true;
    }
    note_failure(http, upgrade->fd);
    kj__exchange_send_error(connection, 503, "There is no room for another session");
    return false;
}

/* False: the client was refused. */
static bool begin(struct kj__http *http, struct mg_connection *connection)
{
    struct mg_request_info *info = (struct mg_request_info *)mg_get_request_info(connection);
    /* civetweb would grant whatever subprotocol was asked for, and go on granting it to later
     * clients of the connection's slot that asked for none. */
    info->acceptedWebSocketSubprotocol = NULL;
    struct upgrade *upgrade = calloc(1, sizeof *upgrade);
    if (!upgrade) {
        kj__exchange_send_error(connection, 503, "Out of memory");
        return false;
    }
    upgrade->http = http;
    upgrade->endpoint = find_endpoint(http, kj__exchange_path(info));
    if (!copy_socket(http, connection, upgrade)) {
        free(upgrade);
        return false;
    }
    if (!prepare(http, connection, upgrade)) {
        close(upgrade->fd);
        free(upgrade);
        return false;
    }
    mg_set_user_connection_data(connection, upgrade);
    return true;
}

/* Before the 101; non-zero refuses. A stop waits for it as for any exchange, or civetweb would
 * leave out the 101. */
static int on_ws_connect(const struct mg_connection *const_connection, void *data)
{
    struct kj__http *http = data;
    atomic_fetch_add(&http->exchanges, 1);
    /* civetweb's callback type says const, but answering a refusal is meant to be done here. */
    bool has_begun = begin(http, (struct mg_connection *)const_connection);
    if (!has_begun) {
        atomic_fetch_sub(&http->exchanges, 1);
    }
    return !has_begun;
}

const char *kj__upgrade_lines(const struct mg_connection *connection)
{
    const struct upgrade *upgrade = mg_get_user_connection_data(connection);
    bool has_lines = upgrade && upgrade->lines.data && !upgrade->lines.failed;
    return has_lines ? (const char *)upgrade->lines.data : "";
}

/* civetweb is left with a TLS stream that has ended both ways: it neither reads nor writes, and
 * lets go of its reference. */
static SSL *take_tls(void)
{
    SSL *ssl = kj__tls_of_worker();
    assert(ssl);
    SSL_up_ref(ssl);
    SSL_set_quiet_shutdown(ssl, 1); /* nor sends an alert that waits: the number may be another's */
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return ssl;
}

/* RFC 6455 4.1 has the client wait for the 101. */
static void note_early_frames(struct kj__http *http, struct upgrade *upgrade)
{
    KJ__COUNT(http->options.counters, early_frames);
    upgrade->has_early_frames = true;
}

/* Only the copy is the connection now. */
static bool take_socket(struct kj__http *http, struct mg_connection *connection,
                        struct upgrade *upgrade)
{
#if KJ__OWN_CIVETWEB
    int has_more;
    int fd = kj__civetweb_let_go(connection, &has_more);
    kj__door_leave(&http->door, fd);
    close(fd);
    if (has_more) {
        note_early_frames(http, upgrade);
    }
    return true;
#else
    (void)connection;
    return kj__handover_finish(&http->handover, upgrade->civetweb_fd);
#endif
}

/* After the 101. */
static void on_ws_ready(struct mg_connection *connection, void *data)
{
    struct kj__http *http = data;
    struct upgrade *upgrade = mg_get_user_connection_data(connection);
    if (!take_socket(http, connection, upgrade)) {
        note_failure(http, KJ__HANDOVER_NO_DESCRIPTOR);
        return;
    }
    upgrade->is_taken = true;
    upgrade->ssl = http->has_tls ? take_tls() : NULL;
}

/* Called only for frames that lay behind the handshake in one read. */
static int on_ws_data(struct mg_connection *connection, int bits, char *bytes, size_t len,
                      void *data)
{
    (void)bits;
    (void)bytes;
    (void)len;
    struct kj__http *http = data;
    note_early_frames(http, mg_get_user_connection_data(connection));
    return 0;
}

void kj__upgrade_on_close(const struct mg_connection *connection)
{
    leaving = mg_get_user_connection_data(connection);
    mg_set_user_connection_data(connection, NULL);
}

void kj__upgrade_on_closed(void)
{
    struct upgrade *upgrade = leaving;
    if (!upgrade) {
        return;
    }
    leaving = NULL;
    const struct kj__http_upgrade *endpoint = upgrade->endpoint;
    if (upgrade->is_taken) {
        endpoint->attach(endpoint->ctx, upgrade->session, upgrade->fd, upgrade->ssl);
    } else { /* the 101 could not be sent */
        KJ__COUNT(upgrade->http->options.counters, handover_peer_gone);
        close(upgrade->fd);
        endpoint->abandon(endpoint->ctx, upgrade->session);
    }
    if (upgrade->has_early_frames) {
        endpoint->on_early_frame(endpoint->ctx, upgrade->session);
    }
    endpoint->release(endpoint->ctx, upgrade->session);
    atomic_fetch_sub(&upgrade->http->exchanges, 1);
    kj__buffer_fini(&upgrade->lines);
    free(upgrade);
}

void kj__upgrade_add_handlers(struct kj__http *http)
{
    for (size_t i = 0; i < http->options.upgrade_count; i++) {
        mg_set_websocket_handler(http->civetweb, http->options.upgrades[i].path, on_ws_connect,
                                 on_ws_ready, on_ws_data, NULL, http);
    }
}

bool kj__upgrade_is_meant(const struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    return info && info->local_uri &&
           find_endpoint(kj__http_of(connection), kj__exchange_path(info)) &&
           info->request_method && strcmp(info->request_method, "GET") == 0;
}

/* civetweb saw no handshake in it. */
void kj__upgrade_refuse(struct mg_connection *connection)
{
    struct kj__http_response response;
    KJ__COUNT(kj__http_of(connection)->options.counters, http_malformed);
    kj__http_response_init(&response);
    fill_refusal(connection, &response);
    kj__exchange_send(connection, &response, true);
    kj__http_response_fini(&response);
}
