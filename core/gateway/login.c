/* login.c - tokens that clients bring in messages, looked at on a thread that may wait.
 *
 * As with the tokens of push configs (dispatch/renewal.h) the authenticators see a copy of the
 * session, and what they set on it becomes the client's on its shard.
 */
#include "gateway/client.h"
#include "gateway/gateway.h"

#include <stdlib.h>

struct login {
    struct kj_gateway *gateway;
    struct kj_session *stand_in; /* only the thread that has the login touches it */
    bool is_accepted;
    struct kj_error text; /* why not */
};

static void release(void *item)
{
    struct login *login = item;
    if (login->stand_in) {
        kj__session_free(&login->gateway->clients_slab, login->stand_in);
    }
    free(login);
}

/* ---- on a thread that may wait ---- */

static void ask(void *item)
{
    struct login *login = item;
    const struct kj__gateway_options *options = &login->gateway->options;
    login->is_accepted = options->authenticate(login->stand_in, &login->text, options->ctx);
}

/* ---- back on the shard ---- */

static void tell(struct kj_client *client, void *item)
{
    struct login *login = item;
    const struct kj_protocol *protocol = &client->mount->protocol;
    struct kj__counters *counters = login->gateway->options.counters;
    client->is_authenticating = false;
    if (!kj_client_is_open(client)) {
        return;
    }
    if (login->is_accepted) {
        KJ__COUNT(counters, gateway_logins);
        client->is_authenticated = true;
        kj__session_take_over(&client->session, login->stand_in);
    } else {
        KJ__COUNT(counters, gateway_logins_refused);
    }
    if (protocol->on_authenticated) {
        protocol->on_authenticated(client, login->is_accepted ? NULL : login->text.text,
                                   protocol->ctx);
    }
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
    if (!kj_client_is_open(client)) {
        return KJ_ECLOSED;
    }
    if (client->is_authenticating) {
        return KJ_EEXIST;
    }
    struct login *login = calloc(1, sizeof *login);
    if (!login) {
        return KJ_ENOMEM;
    }
    login->gateway = gateway;
    login->stand_in = kj__session_stand_in(&gateway->clients_slab, &client->session);
    enum kj_status status = KJ_ENOMEM;
    if (login->stand_in && set_token(login->stand_in, token)) {
        status = kj_client_work(client, &(struct kj_work){ask, tell, release, login});
    }
    if (status) {
        release(login);
    }
    client->is_authenticating = !status;
    return status;
}
