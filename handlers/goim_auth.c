/* goim_auth.c - operation 7: who a client is, and where it goes.
 *
 * The body is an object: mid, key, room_id, accepts, platform, and token, which is ours. Who it is
 * is what the authenticators make of the handshake or of `token`; goim's mid has to agree.
 */
#include "handlers/goim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MID_SIZE = 24, CLOSE_POLICY = 1008 };

/* The body, read; texts are its own. */
struct introduction {
    json_int_t mid;
    const char *key, *room; /* "": none */
    const json_t *accepts;  /* an array, or NULL */
    const char *token;      /* NULL: none */
};

static void refuse(struct kj_client *client, int32_t seq, int code, const char *message)
{
    kj_client_count_refusal(client);
    goim_send_fault(client, GOIM_AUTH_REPLY, seq, code, message);
    kj_client_close(client, code == GOIM_UNAUTHORIZED ? KJ_CLOSE_UNAUTHORIZED : CLOSE_POLICY,
                    "refused");
}

/* ---- reading ---- */

/* A text that may be missing; NULL when it is none. */
static const char *read_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return !value || json_is_null(value) ? "" : json_string_value(value);
}

/* What is wrong with it, or NULL. */
static const char *read_introduction(const json_t *body, struct introduction *introduction)
{
    const json_t *mid = json_object_get(body, "mid");
    const json_t *accepts = json_object_get(body, "accepts");
    introduction->mid = json_integer_value(mid);
    introduction->key = read_text(body, "key");
    introduction->room = read_text(body, "room_id");
    introduction->accepts = json_is_null(accepts) ? NULL : accepts;
    introduction->token = read_text(body, "token");
    if (!json_is_object(body)) {
        return "the body is no object";
    }
    if (mid && !json_is_integer(mid)) {
        return "mid is no integer";
    }
    if (!introduction->key || (*introduction->key && !kj_name_is_valid(introduction->key))) {
        return "key is no name";
    }
    if (!introduction->room || (*introduction->room && !kj_name_is_valid(introduction->room))) {
        return "room_id is no name";
    }
    if (introduction->accepts && !json_is_array(introduction->accepts)) {
        return "accepts is no list";
    }
    return introduction->token ? NULL : "token is no text";
}

/* False for what is no list of operations, or too long. */
static bool take_accepts(struct goim_client *state, const json_t *accepts)
{
    size_t count = json_array_size(accepts);
    state->is_choosy = accepts != NULL;
    for (size_t i = 0; i < count; i++) {
        const json_t *op = json_array_get(accepts, i);
        json_int_t value = json_integer_value(op);
        if (!json_is_integer(op) || value < INT32_MIN || value > INT32_MAX ||
            !goim_accept(state, (int32_t)value)) {
            return false;
        }
    }
    return true;
}

/* ---- who it is ---- */

struct identity {
    char user[KJ_NAME_MAX + 1], key[KJ_NAME_MAX + 1];
    bool has_made_key; /* the client is told */
};

static void name_key(const struct kj_client *client, const struct introduction *introduction,
                     struct identity *identity)
{
    identity->has_made_key = !*introduction->key;
    if (identity->has_made_key) {
        kj_client_id_format(kj_client_id(client), identity->key);
    } else {
        (void)snprintf(identity->key, sizeof identity->key, "%s", introduction->key);
    }
}

/* Nobody in particular is its key, so that there is one client of a key. */
static const char *name_nobody(struct identity *identity)
{
    int len = snprintf(identity->user, sizeof identity->user, "key:%s", identity->key);
    return len < (int)sizeof identity->user ? NULL : "key is too long";
}

/* What is wrong, or NULL. */
static const char *identify(struct kj_client *client, const struct kj_goim *goim,
                            const struct introduction *introduction, struct identity *identity)
{
    char mid[MID_SIZE];
    bool is_known = kj_client_is_authenticated(client);
    const char *user = is_known ? kj_session_claim(kj_client_session(client), "sub") : NULL;
    (void)snprintf(mid, sizeof mid, "%" PRIdMAX, (intmax_t)introduction->mid);
    name_key(client, introduction, identity);
    if (!is_known && !goim->options.is_open) {
        return "a token is needed";
    }
    if (is_known && introduction->mid != 0 && (!user || strcmp(user, mid) != 0)) {
        return "mid is another's";
    }
    if (!is_known && goim->options.trusts_mid && introduction->mid != 0) {
        user = mid;
    }
    if (!user) {
        return name_nobody(identity);
    }
    if (!kj_name_is_valid(user)) {
        return "the user is no name";
    }
    (void)snprintf(identity->user, sizeof identity->user, "%s", user);
    return NULL;
}

/* ---- letting it in ---- */

static enum kj_status enter(struct kj_client *client, const struct introduction *introduction,
                            const struct identity *identity)
{
    enum kj_status status = kj_client_admit(client);
    if (!status) {
        status = kj_client_set_user(client, identity->user, identity->key);
    }
    return !status && *introduction->room ? kj_client_join(client, introduction->room) : status;
}

static void welcome(struct kj_client *client, int32_t seq, const struct identity *identity)
{
    json_t *body = identity->has_made_key
                       ? json_pack("{s:i, s:s}", "code", GOIM_OK, "key", identity->key)
                       : NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    goim_send(client, GOIM_AUTH_REPLY, seq, text, text ? strlen(text) : 0);
    free(text);
    json_decref(body);
}

static void let_in(struct kj_client *client, const struct kj_goim *goim, struct goim_client *state,
                   const struct introduction *introduction)
{
    struct identity identity;
    const char *fault = identify(client, goim, introduction, &identity);
    if (fault) {
        refuse(client, state->seq, GOIM_UNAUTHORIZED, fault);
    } else if (!take_accepts(state, introduction->accepts)) {
        refuse(client, state->seq, GOIM_BAD_REQUEST,
               "accepts has what is no operation, or too many");
    } else if (*introduction->room && !goim_may_join(client, goim, introduction->room)) {
        refuse(client, state->seq, GOIM_UNAUTHORIZED, "the room is not for this client");
    } else if (enter(client, introduction, &identity)) {
        refuse(client, state->seq, GOIM_FAILED, "there is no room on this server");
    } else {
        welcome(client, state->seq, &identity);
    }
}

void goim_on_authenticated(struct kj_client *client, const char *refusal, void *ctx)
{
    struct goim_client *state = kj_client_data(client);
    struct introduction introduction;
    json_t *token = state->token;
    state->token = NULL;
    const char *fault = refusal ? refusal : read_introduction(token, &introduction);
    if (fault) {
        refuse(client, state->seq, GOIM_UNAUTHORIZED, fault);
    } else {
        let_in(client, ctx, state, &introduction);
    }
    json_decref(token);
}

/* Has the token looked at; false when that is not to be. */
static bool ask(struct kj_client *client, struct goim_client *state, json_t *body,
                const struct introduction *introduction)
{
    if (!*introduction->token || kj_client_is_authenticated(client)) {
        return false;
    }
    enum kj_status status = kj_client_authenticate(client, introduction->token);
    if (!status) {
        state->token = json_incref(body);
    } else if (status != KJ_EUNSUPPORTED) {
        refuse(client, state->seq, GOIM_FAILED, "too many tokens are being looked at");
    }
    return status != KJ_EUNSUPPORTED;
}

void goim_authenticate(struct kj_client *client, const struct kj_goim *goim,
                       const struct goim_packet *packet)
{
    struct introduction introduction;
    json_t *body = NULL;
    if (kj_client_data(client)) {
        kj_client_count_refusal(client); /* it has said so already */
        return;
    }
    struct goim_client *state = calloc(1, sizeof *state);
    if (!state) {
        refuse(client, packet->seq, GOIM_FAILED, "no memory");
        return;
    }
    state->seq = packet->seq;
    kj_client_set_data(client, state);
    const char *fault = "the body is no JSON";
    if (!kj_value_decode(KJ_ENCODING_JSON, packet->body, packet->len, &body, NULL)) {
        fault = read_introduction(body, &introduction);
    }
    if (fault) {
        refuse(client, state->seq, GOIM_BAD_REQUEST, fault);
    } else if (!ask(client, state, body, &introduction)) {
        let_in(client, goim, state, &introduction);
    }
    json_decref(body);
}
