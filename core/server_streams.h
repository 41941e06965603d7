/* server_streams.h - the addresses where clients of a gateway come in without HTTP.
 *
 * Each has a listener of its own, whose thread asks what is asked of every session, makes the
 * client and hands its socket to a shard. With TLS the handshake is the shard's, as all that
 * follows.
 */
#ifndef KJ_CORE_SERVER_STREAMS_H
#define KJ_CORE_SERVER_STREAMS_H

#include "core/server_gateway.h"
#include "core/server_http.h"
#include "delivery/acceptor.h"
#include "http/http.h"

struct kj__server_stream {
    struct kj__server_streams *all;
    struct kj__mount *mount;
    char *listen;
    bool is_tls;
    struct kj__acceptor *acceptor; /* NULL: it does not listen */
};

/* The struct points into itself and must not be moved. */
struct kj__server_streams {
    struct kj__events *events;
    struct kj__server_http *policy;
    struct kj__http *http; /* while they listen */
    struct kj__server_stream items[KJ__MOUNTS_MAX];
    size_t count;
};

struct kj__stream_request {
    const struct kj_stream_options *options;
    const struct kj_protocol *protocol;
};

/* As kj_server_listen; before the start. */
enum kj_status kj__server_streams_add(struct kj__server_streams *streams,
                                      struct kj__server_mounts *mounts,
                                      const struct kj_server_options *options,
                                      const struct kj__stream_request *request,
                                      struct kj_error *error);

/* Listens, with the TLS and the descriptors of `http`. KJ_EIO or KJ_EINVAL with `error` naming the
 * address, KJ_ENOMEM; what listens by then is to be stopped. */
enum kj_status kj__server_streams_start(struct kj__server_streams *streams, struct kj__http *http,
                                        struct kj_error *error);

/* Nobody comes in any more. Before the listener of HTTP stops; idempotent. */
void kj__server_streams_stop(struct kj__server_streams *streams);

uint16_t kj__server_streams_port(const struct kj__server_streams *streams, size_t index);

void kj__server_streams_fini(struct kj__server_streams *streams);

#endif
