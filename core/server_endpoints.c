/* server_endpoints.c - see server_endpoints.h. */
#include "core/server_endpoints.h"

#include "core/server_gateway.h"
#include "dispatch/position.h"

#include <string.h>
#include <unistd.h>

/* Where its events begin, for a client that asked for their places: one that has had none yet can
 * go on from there. One that is to hear that it cannot go on gets its place with that. */
static void add_position(const struct kj_session *session, struct kj__http_response *response)
{
    char seq[KJ__SEQ_SIZE];
    if (session->is_answered_place) {
        kj__position_format(session, seq);
        kj__fields_add(&response->headers, "X-Seq", seq);
    }
}

static void *prepare_session(void *ctx, const struct kj__http_request *request,
                             struct kj__http_response *response)
{
    const struct kj__server_endpoint *endpoint = ctx;
    const struct kj__server_endpoints *all = endpoint->all;
    struct kj__refusal refusal;
    if (!kj__server_http_admit(all->policy, request, response)) {
        return NULL;
    }
    const struct kj__handshake handshake = {.headers = request->headers,
                                            .query = request->query,
                                            .remote_address = request->remote_address,
                                            .certificate = request->certificate};
    /* A client of a mount is a session to all that follows. */
    void *client = NULL;
    struct kj_session *session = NULL;
    if (endpoint->mount) {
        client = kj__server_mounts_prepare(all->events, endpoint->mount, &handshake, &refusal);
    } else if ((session = kj__events_prepare(all->events, &handshake, &refusal))) {
        client = session;
        add_position(session, response);
    }
    if (!client) {
        kj__http_response_short_error(response, refusal.encoding, &refusal.error);
    }
    return client;
}

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

void kj__server_endpoints_add(struct kj__server_endpoints *endpoints, const char *path,
                              struct kj__mount *mount)
{
    size_t at = endpoints->count++;
    endpoints->items[at] = (struct kj__server_endpoint){.all = endpoints, .mount = mount};
    endpoints->upgrades[at] = (struct kj__http_upgrade){
        .path = path,
        .prepare = prepare_session,
        .attach = attach_session,
        .abandon = abandon_session,
        .on_early_frame = refuse_early_frame,
        .release = release_session,
        .ctx = &endpoints->items[at],
    };
}

bool kj__server_endpoints_have(const struct kj__server_endpoints *endpoints, const char *path)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        if (strcmp(endpoints->upgrades[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}
