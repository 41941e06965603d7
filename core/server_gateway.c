/* server_gateway.c - see server_gateway.h. */
#include "core/server_gateway.h"

#include "base/clock.h"
#include "core/server_options.h"
#include "dispatch/protocol.h"
#include "gateway/client.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the gateway asks of /events ---- */

static bool authenticate(struct kj_session *session, struct kj_error *error, void *ctx)
{
    return kj__events_authenticate_later(ctx, session, error);
}

static void give_place(const char *remote_address, void *ctx)
{
    kj__events_give_place(ctx, remote_address);
}

/* ---- mounting ---- */

enum kj_status kj__server_mounts_need(struct kj__server_mounts *mounts,
                                      const struct kj_server_options *options)
{
    if (mounts->gateway) {
        return KJ_OK;
    }
    const struct kj__events_options *events = &mounts->events->options;
    return kj__gateway_new(
        &(struct kj__gateway_options){
            .delivery = events->delivery,
            .pubsub = events->pubsub,
            .counters = events->counters,
            .prefix = options->gateway_prefix,
            .topics = options->gateway_topics,
            .linger_ms = options->gateway_linger_ms,
            .token_cookie = options->token_cookie,
            .limits = events->limits,
            .authenticate = events->authenticator_count > 0 ? authenticate : NULL,
            .threads = options->gateway_threads,
            .give_place = give_place,
            .ctx = mounts->events,
        },
        &mounts->gateway);
}

static enum kj_status check(const struct kj__server_endpoints *endpoints,
                            const struct kj_server_options *options, const char *path,
                            struct kj_error *error)
{
    if (kj__server_endpoints_have(endpoints, path)) {
        kj_error_set(error, 0, "path \"%.200s\": something is there", path);
        return KJ_EEXIST;
    }
    return kj__server_options_check_path(options, "path", path, error);
}

enum kj_status kj__server_mounts_add(struct kj__server_mounts *mounts,
                                     struct kj__server_endpoints *endpoints,
                                     const struct kj_server_options *options,
                                     const struct kj__mount_request *request,
                                     struct kj_error *error)
{
    enum kj_status status = check(endpoints, options, request->path, error);
    if (status) {
        return status;
    }
    status = kj__server_mounts_need(mounts, options);
    char *path = status ? NULL : strdup(request->path);
    if (!path) {
        kj_error_set(error, 0, "no memory for a protocol");
        return KJ_ENOMEM;
    }
    struct kj__mount *mount;
    status = kj__gateway_mount(mounts->gateway, request->protocol, NULL, &mount, error);
    if (status) {
        free(path);
        return status;
    }
    mounts->paths[mounts->count++] = path;
    kj__server_endpoints_add(endpoints, path, mount);
    return KJ_OK;
}

void kj__server_mounts_fini(struct kj__server_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->paths[i]);
    }
    kj__gateway_free(mounts->gateway);
    mounts->gateway = NULL;
    mounts->count = 0;
}

/* ---- handshakes, on HTTP workers ---- */

/* What the protocol itself says of a handshake. */
static enum kj_auth ask_protocol(struct kj_client *client, struct kj__refusal *refusal)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    const struct kj_session_authenticator own = {protocol->authenticate, protocol->ctx};
    return kj__events_ask(&own, 1, &client->session, &refusal->text);
}

/* One that shows a token must show a good one; see `auth_in_frames`. */
static bool may_come_in(struct kj__events *events, struct kj_client *client,
                        struct kj__refusal *refusal)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    enum kj_auth own = ask_protocol(client, refusal);
    if (own == KJ_AUTH_ACCEPT) {
        client->may_stay = !protocol->admits_itself;
        return true;
    }
    if (own == KJ_AUTH_REFUSE) {
        return kj__events_refuse_token(events, &client->session, refusal);
    }
    if (events->options.authenticator_count == 0) {
        client->may_stay = protocol->is_open && !protocol->admits_itself;
        return true;
    }
    if (kj__events_authenticate(events, &client->session, &refusal->text)) {
        client->is_authenticated = true;
        client->may_stay = !protocol->admits_itself;
        return true;
    }
    if (!kj_session_token(&client->session) &&
        (protocol->is_open || protocol->auth_in_frames || protocol->admits_itself)) {
        client->may_stay = protocol->is_open && !protocol->admits_itself;
        return true;
    }
    return kj__events_refuse_token(events, &client->session, refusal);
}

struct kj_client *kj__server_mounts_prepare(struct kj__events *events, struct kj__mount *mount,
                                            const struct kj__handshake *handshake,
                                            struct kj__refusal *refusal)
{
    struct kj__session_origin origin;
    struct kj_client *client = NULL;
    int64_t started_ns = kj__clock_monotonic_ns();
    if (kj__events_admit(events, handshake, &origin, refusal)) {
        client = kj__client_new(mount, &origin);
        if (!client) {
            kj__events_give_place(events, handshake->remote_address);
            kj__events_refuse(refusal, 503, "Service Unavailable", "kujata", "Out of memory");
        }
    }
    bool may = client && may_come_in(events, client, refusal);
    if (client) {
        kj__events_audit(events, &client->session, may ? NULL : &refusal->error, started_ns);
    }
    if (may) {
        if (kj__connection_announce(&client->session.connection)) {
            return client;
        }
        kj__events_refuse(refusal, 503, "Service Unavailable", "kujata", "The server is stopping");
    }
    KJ__COUNT(events->options.counters, handshakes_refused);
    kj_client_unref(client);
    return NULL;
}
