/* server_upgrade.c - see server_upgrade.h. */
#include "core/server_upgrade.h"

#include "delivery/session.h"

#include <unistd.h>

static void attach_session(void *ctx, void *session, int fd, struct ssl_st *ssl)
{
    (void)ctx;
    struct kj__connection *connection = &((struct kj_session *)session)->connection;
    struct kj__tls *tls = ssl ? kj__tls_new_take(ssl, fd) : NULL;
    if (ssl && !tls) {
        close(fd);
        kj__connection_abandon(connection);
        return;
    }
    kj__connection_attach(connection, fd, tls);
}

static void abandon_session(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_abandon(&((struct kj_session *)session)->connection);
}

static void refuse_early_frame(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_close_later(&((struct kj_session *)session)->connection,
                               KJ__CLOSE_PROTOCOL_ERROR, "frame before the handshake ended",
                               KJ__CAUSE_PROTOCOL_ERROR);
}

static void release_session(void *ctx, void *session)
{
    (void)ctx;
    kj__connection_unref(&((struct kj_session *)session)->connection);
}

struct kj__http_upgrade kj__server_upgrade(const char *path,
                                           void *(*prepare)(void *ctx,
                                                            const struct kj__http_request *request,
                                                            struct kj__http_response *response),
                                           void *ctx)
{
    return (struct kj__http_upgrade){
        .path = path,
        .prepare = prepare,
        .attach = attach_session,
        .abandon = abandon_session,
        .on_early_frame = refuse_early_frame,
        .release = release_session,
        .ctx = ctx,
    };
}
