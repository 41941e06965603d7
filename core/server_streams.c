/* server_streams.c - see server_streams.h. */
#include "core/server_streams.h"

#include "base/log.h"
#include "gateway/client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one connection, on the listener's thread ---- */

/* It gets no answer: every protocol would want another, and the address knows what it did. */
static void refuse(const struct kj__server_stream *stream, int fd)
{
    KJ__COUNT(stream->all->events->options.counters, stream_refused);
    if (fd >= 0) {
        close(fd);
    }
}

/* A place in the limits of the server and of the stream. */
static bool take_place(struct kj__server_stream *stream, const char *address)
{
    static struct kj__log_limit limit;
    struct kj__refusal refusal; /* logged and counted already */
    if (!kj__server_http_admit_stream(stream->all->policy, address) ||
        !kj__events_admit_stream(stream->all->events, address, &refusal)) {
        return false;
    }
    if (kj__mount_take_place(stream->mount)) {
        return true;
    }
    kj__log_limited(&limit, KJ__LOG_WARNING, "server",
                    "a connection of %s to %s was refused: it has its %u connections", address,
                    stream->listen, stream->mount->places);
    stream->mount->gateway->options.give_place(address, stream->mount->gateway->options.ctx);
    return false;
}

/* Takes the places. NULL when there is no memory; they are given back then. */
static struct kj_client *make_client(struct kj__server_stream *stream, const char *address)
{
    const struct kj__gateway_options *options = &stream->mount->gateway->options;
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    struct kj_client *client = kj__client_new(
        stream->mount,
        &(struct kj__session_origin){.headers = &headers, .query = "", .remote_address = address});
    kj__fields_fini(&headers);
    if (!client) {
        kj__mount_give_place(stream->mount);
        options->give_place(address, options->ctx);
    } else {
        const struct kj_protocol *protocol = &stream->mount->protocol;
        client->may_stay = protocol->is_open && !protocol->admits_itself;
    }
    return client;
}

/* False when there is no memory. */
static bool make_tls(const struct kj__server_stream *stream, int fd, struct kj__tls **tls)
{
    *tls = NULL;
    if (!stream->is_tls) {
        return true;
    }
    struct ssl_st *ssl = kj__http_new_tls(stream->all->http);
    *tls = ssl ? kj__tls_new_take(ssl, fd) : NULL;
    return *tls != NULL;
}

static void on_socket(void *ctx, int fd, const char *address)
{
    struct kj__server_stream *stream = ctx;
    struct kj__tls *tls;
    if (!take_place(stream, address)) {
        refuse(stream, fd);
        return;
    }
    struct kj_client *client = make_client(stream, address);
    fd = kj__http_move_take(stream->all->http, fd);
    if (!client || fd < 0 || !make_tls(stream, fd, &tls)) {
        kj_client_unref(client);
        refuse(stream, fd);
        return;
    }
    struct kj__connection *connection = &client->session.connection;
    if (!kj__connection_announce(connection)) {
        kj__tls_free(tls);
        refuse(stream, fd);
    } else if (!kj__connection_attach(connection, fd, tls)) {
        KJ__COUNT(stream->all->events->options.counters, stream_refused);
        kj__connection_abandon(connection);
    }
    kj_client_unref(client);
}

/* ---- life ---- */

static enum kj_status check(const struct kj_server_options *options,
                            const struct kj_stream_options *stream, struct kj_error *error)
{
    if (!stream->listen) {
        kj_error_set(error, 0, "a stream needs an address to listen on");
        return KJ_EINVAL;
    }
    if (stream->tls && !options->tls_certificate) {
        kj_error_set(error, 0,
                     "%s: a stream with TLS needs the server's certificate: tls_certificate "
                     "(--tls-cert)",
                     stream->listen);
        return KJ_EINVAL;
    }
    return KJ_OK;
}

enum kj_status kj__server_streams_add(struct kj__server_streams *streams,
                                      struct kj__server_mounts *mounts,
                                      const struct kj_server_options *options,
                                      const struct kj__stream_request *request,
                                      struct kj_error *error)
{
    enum kj_status status = check(options, request->options, error);
    if (status) {
        return status;
    }
    status = kj__server_mounts_need(mounts, options);
    char *listen = status ? NULL : strdup(request->options->listen);
    if (!listen) {
        kj_error_set(error, 0, "no memory for a protocol");
        return KJ_ENOMEM;
    }
    struct kj__mount *mount;
    status = kj__gateway_mount(mounts->gateway, request->protocol, request->options, &mount, error);
    if (status) {
        free(listen);
        return status;
    }
    streams->items[streams->count++] = (struct kj__server_stream){
        .all = streams, .mount = mount, .listen = listen, .is_tls = request->options->tls};
    return KJ_OK;
}

enum kj_status kj__server_streams_start(struct kj__server_streams *streams, struct kj__http *http,
                                        struct kj_error *error)
{
    streams->http = http;
    for (size_t i = 0; i < streams->count; i++) {
        struct kj__server_stream *stream = &streams->items[i];
        const struct kj__acceptor_options options = {
            .listen = stream->listen,
            .on_socket = on_socket,
            .ctx = stream,
            .counters = streams->events->options.counters,
        };
        enum kj_status status = kj__acceptor_start(&options, &stream->acceptor, error);
        if (status) {
            return status;
        }
        kj__log(KJ__LOG_INFO, "server", "listening on %s, port %u, for %s%s", stream->listen,
                kj__acceptor_port(stream->acceptor), stream->mount->protocol.name,
                stream->is_tls ? " over TLS" : "");
    }
    return KJ_OK;
}

void kj__server_streams_stop(struct kj__server_streams *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        kj__acceptor_stop(streams->items[i].acceptor);
        streams->items[i].acceptor = NULL;
    }
}

uint16_t kj__server_streams_port(const struct kj__server_streams *streams, size_t index)
{
    return index < streams->count && streams->items[index].acceptor
               ? kj__acceptor_port(streams->items[index].acceptor)
               : 0;
}

void kj__server_streams_fini(struct kj__server_streams *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        free(streams->items[i].listen);
    }
    streams->count = 0;
}
