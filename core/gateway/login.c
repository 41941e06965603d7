/* login.c - see login.h. */
#include "gateway/login.h"

#include "gateway/client.h"
#include "gateway/gateway.h"

#include <stdlib.h>

struct kj__login {
    struct kj__job job;
    struct kj_client *client;    /* a reference */
    struct kj_session *stand_in; /* only the thread that has the login touches it */
    bool is_accepted;
    struct kj_error text; /* why not */
};

static void login_free(struct kj__login *login)
{
    if (login->stand_in) {
        kj__session_free(&login->client->mount->gateway->clients_slab, login->stand_in);
    }
    kj_client_unref(login->client);
    free(login);
}

/* ---- back on the shard ---- */

static void run_verdict(struct kj__job *job, struct kj__shard *shard)
{
    (void)shard;
    struct kj__login *login = (struct kj__login *)job;
    struct kj_client *client = login->client;
    const struct kj_protocol *protocol = &client->mount->protocol;
    struct kj__counters *counters = client->mount->gateway->options.counters;
    client->is_authenticating = false;
    if (client->session.connection.state == KJ__CONNECTION_OPEN) {
        if (login->is_accepted) {
            KJ__COUNT(counters, gateway_logins);
            kj__session_take_over(&client->session, login->stand_in);
        } else {
            KJ__COUNT(counters, gateway_logins_refused);
        }
        if (protocol->on_authenticated) {
            protocol->on_authenticated(client, login->is_accepted ? NULL : login->text.text,
                                       protocol->ctx);
        }
    }
    login_free(login);
}

/* ---- on a thread of its own ---- */

static void *run_logins(void *argument)
{
    struct kj__logins *logins = argument;
    const struct kj__gateway_options *options = &logins->gateway->options;
    void *item;
    while (kj__queue_take_wait(&logins->waiting, &item, 1) == 1) {
        struct kj__login *login = item;
        login->is_accepted = options->authenticate(login->stand_in, &login->text, options->ctx);
        login->job.run = run_verdict;
        if (!kj__shard_post(login->client->session.connection.shard, &login->job)) {
            login_free(login);
        }
    }
    return NULL;
}

void kj__logins_init(struct kj__logins *logins, struct kj_gateway *gateway)
{
    *logins = (struct kj__logins){.gateway = gateway};
    kj__queue_init(&logins->waiting, KJ__LOGINS_MAX);
}

enum kj_status kj__logins_start(struct kj__logins *logins, size_t thread_count)
{
    logins->threads = calloc(thread_count, sizeof *logins->threads);
    if (!logins->threads) {
        return KJ_ENOMEM;
    }
    for (; logins->thread_count < thread_count; logins->thread_count++) {
        if (pthread_create(&logins->threads[logins->thread_count], NULL, run_logins, logins) != 0) {
            return KJ_ENOMEM;
        }
    }
    return KJ_OK;
}

void kj__logins_stop(struct kj__logins *logins)
{
    void *item;
    kj__queue_close(&logins->waiting);
    while (kj__queue_take(&logins->waiting, &item, 1) == 1) {
        login_free(item);
    }
    for (; logins->thread_count > 0; logins->thread_count--) {
        pthread_join(logins->threads[logins->thread_count - 1], NULL);
    }
}

void kj__logins_fini(struct kj__logins *logins)
{
    kj__queue_fini(&logins->waiting);
    free(logins->threads);
}

/* ---- from the shard ---- */

/* The parameters of the copy are the session's with this token. */
static bool set_token(struct kj_session *stand_in, const char *token)
{
    struct kj__fields current;
    struct kj__fields changed;
    struct kj__packed_fields *packed = NULL;
    kj__packed_fields_view(stand_in->parameters, &current);
    kj__fields_init(&changed, false);
    bool is_set = kj__fields_copy(&changed, &current);
    if (is_set) {
        kj__fields_remove(&changed, "token");
        is_set = kj__fields_add(&changed, "token", token) && kj__fields_pack(&changed, &packed);
    }
    kj__fields_fini(&changed);
    if (is_set) {
        kj__session_set_parameters_take(
            stand_in, &(struct kj__session_parameters){
                          .packed = packed, .is_changed = true, .has_token = true});
    }
    return is_set;
}

enum kj_status kj_client_authenticate(struct kj_client *client, const char *token)
{
    struct kj_gateway *gateway = client->mount->gateway;
    if (!gateway->options.authenticate) {
        return KJ_EUNSUPPORTED;
    }
    if (client->session.connection.state != KJ__CONNECTION_OPEN) {
        return KJ_ECLOSED;
    }
    if (client->is_authenticating) {
        return KJ_EEXIST;
    }
    struct kj__login *login = calloc(1, sizeof *login);
    if (!login) {
        return KJ_ENOMEM;
    }
    login->client = kj_client_ref(client);
    login->stand_in = kj__session_stand_in(&gateway->clients_slab, &client->session);
    if (!login->stand_in || !set_token(login->stand_in, token)) {
        login_free(login);
        return KJ_ENOMEM;
    }
    switch (kj__queue_push(&gateway->logins.waiting, login, NULL)) {
    case KJ__QUEUE_PUSHED:
        client->is_authenticating = true;
        return KJ_OK;
    case KJ__QUEUE_FULL:
        login_free(login);
        return KJ_EFULL;
    case KJ__QUEUE_CLOSED:
        login_free(login);
        return KJ_ECLOSED;
    default:
        login_free(login);
        return KJ_ENOMEM;
    }
}
