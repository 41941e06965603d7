/* session.c - see session.h and kujata/session.h. */
#include "delivery/session.h"

#include "base/clock.h"
#include "base/cookie.h"
#include "base/url.h"
#include "codec/status.h"
#include "delivery/credential_index.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- made of a handshake ---- */

static bool add_cookies(struct kj__fields *cookies, const char *header)
{
    while (*header) {
        size_t len = strcspn(header, ";");
        const char *equals = memchr(header, '=', len);
        if (equals) {
            size_t name_len = (size_t)(equals - header);
            const char *value = equals + 1;
            size_t value_len = len - name_len - 1;
            kj__cookie_trim(&value, &value_len);
            if (!kj__fields_add_len(cookies, header, name_len, value, value_len)) {
                return false;
            }
        }
        header += len + (header[len] == ';');
        header += strspn(header, " ");
    }
    return true;
}

/* What makes a request a handshake says nothing about the client. */
static bool is_of_handshake(const char *name)
{
    return strncasecmp(name, "Sec-WebSocket-", strlen("Sec-WebSocket-")) == 0 ||
           strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Upgrade") == 0;
}

static bool keep_headers(struct kj_session *session, const struct kj__fields *headers)
{
    struct kj__fields kept;
    size_t cursor = 0;
    const char *name;
    const char *value;
    bool is_kept = true;
    kj__fields_init(&kept, true);
    while (is_kept && kj__fields_next(headers, &cursor, &name, &value)) {
        is_kept = is_of_handshake(name) || kj__fields_add(&kept, name, value);
    }
    is_kept = is_kept && kj__fields_pack(&kept, &session->headers);
    kj__fields_fini(&kept);
    return is_kept;
}

static bool keep_cookies(struct kj_session *session, const char *header)
{
    struct kj__fields cookies;
    kj__fields_init(&cookies, false);
    bool is_kept = add_cookies(&cookies, header) && kj__fields_pack(&cookies, &session->cookies);
    kj__fields_fini(&cookies);
    return is_kept;
}

static bool keep_parameters(struct kj_session *session, const char *query)
{
    struct kj__fields parameters;
    kj__fields_init(&parameters, false);
    bool is_kept = kj__url_parse_query(query, &parameters) &&
                   kj__fields_pack(&parameters, &session->parameters);
    kj__fields_fini(&parameters);
    return is_kept;
}

static bool fill(struct kj_session *session, const struct kj__session_origin *origin)
{
    const char *cookie = kj__fields_get(origin->headers, "Cookie");
    session->certificate = kj__certificate_ref(origin->certificate);
    session->remote_address = strdup(origin->remote_address);
    if (!session->remote_address || !keep_headers(session, origin->headers) ||
        !keep_parameters(session, origin->query) || (cookie && !keep_cookies(session, cookie))) {
        return false;
    }
    session->wants_errors = kj_session_parameter(session, "enableErrors") != NULL;
    return true;
}

struct kj_session *kj__session_new(struct kj__slab *slab, struct kj__delivery *delivery,
                                   const struct kj__endpoint *endpoint,
                                   const struct kj__session_origin *origin)
{
    struct kj_session *session = kj__slab_take(slab);
    if (!session) {
        return NULL;
    }
    /* Only JSON promises UTF-8; bahamut's clients send msgpack in text frames too. */
    kj__connection_init(&session->connection, delivery, endpoint,
                        origin->read_encoding == KJ_ENCODING_JSON);
    kj__list_init(&session->credential_link);
    kj__uuid_make(session->id);
    session->start_ns = kj__clock_wall_ns();
    session->read_encoding = origin->read_encoding;
    session->write_encoding = origin->write_encoding;
    if (!fill(session, origin)) {
        kj__session_free(slab, session);
        return NULL;
    }
    return session;
}

static bool copy_packed(struct kj__packed_fields **to, const struct kj__packed_fields *from)
{
    struct kj__fields fields;
    kj__packed_fields_view(from, &fields);
    return kj__fields_pack(&fields, to);
}

struct kj_session *kj__session_stand_in(struct kj__slab *slab, const struct kj_session *session)
{
    struct kj_session *copy = kj__slab_take(slab);
    if (!copy) {
        return NULL;
    }
    kj__connection_init_on(&copy->connection, session->connection.shard,
                           session->connection.endpoint, session->connection.check_utf8);
    kj__list_init(&copy->credential_link);
    memcpy(copy->id, session->id, sizeof copy->id);
    copy->wants_errors = session->wants_errors;
    copy->has_pushed_token = session->has_pushed_token;
    copy->read_encoding = session->read_encoding;
    copy->write_encoding = session->write_encoding;
    copy->start_ns = session->start_ns;
    copy->certificate = kj__certificate_ref(session->certificate);
    copy->remote_address = strdup(session->remote_address);
    copy->has_query = session->has_query;
    if (!copy->remote_address || !copy_packed(&copy->parameters, session->parameters) ||
        !copy_packed(&copy->query, session->query) ||
        !copy_packed(&copy->headers, session->headers) ||
        !copy_packed(&copy->cookies, session->cookies)) {
        kj__session_free(slab, copy);
        return NULL;
    }
    return copy;
}

void kj__session_take_over(struct kj_session *session, struct kj_session *stand_in)
{
    kj__claims_fini(&session->claims);
    session->claims = stand_in->claims;
    stand_in->claims = (struct kj__claims){0};
    kj__credential_take_over(session, stand_in);
    if (stand_in->data || session->has_callers_data) {
        kj_session_set_data(session, stand_in->data, stand_in->release_data);
        session->has_callers_data = stand_in->data != NULL;
        stand_in->data = NULL;
    }
}

void kj__session_free(struct kj__slab *slab, struct kj_session *session)
{
    kj_session_set_data(session, NULL, NULL);
    kj__credential_set(session, 0);
    kj__claims_fini(&session->claims);
    free(session->query);
    free(session->cookies);
    free(session->headers);
    free(session->parameters);
    kj__certificate_unref(session->certificate);
    free(session->remote_address);
    free(session->held);
    kj__slab_give(slab, session);
}

/* ---- push configs ---- */

/* The session's parameters as a config leaves them: its own replace those of the same name. */
struct merge {
    struct kj__fields merged;
    bool failed, has_token;
};

static void remove_name(const char *name, const char *value, void *ctx)
{
    (void)value;
    struct merge *merge = ctx;
    kj__fields_remove(&merge->merged, name);
}

static void add_pair(const char *name, const char *value, void *ctx)
{
    struct merge *merge = ctx;
    merge->failed |= !kj__fields_add(&merge->merged, name, value);
    merge->has_token |= strcmp(name, "token") == 0;
}

static void note_any(const char *name, const char *value, void *ctx)
{
    (void)name;
    (void)value;
    *(bool *)ctx = true;
}

enum kj_status kj__session_merge_parameters(const struct kj_session *session,
                                            const struct kj_push_config *config,
                                            struct kj__session_parameters *merged)
{
    struct merge merge = {.has_token = session->has_pushed_token};
    struct kj__fields current;
    *merged = (struct kj__session_parameters){0};
    kj_push_config_parameters(config, note_any, &merged->is_changed);
    if (!merged->is_changed) {
        return KJ_OK;
    }
    kj__packed_fields_view(session->parameters, &current);
    kj__fields_init(&merge.merged, false);
    merge.failed = !kj__fields_copy(&merge.merged, &current);
    kj_push_config_parameters(config, remove_name, &merge);
    kj_push_config_parameters(config, add_pair, &merge);
    enum kj_status status = merge.failed ? KJ_ENOMEM : KJ_OK;
    if (!status && merge.merged.text.len > KJ__SESSION_PARAMETERS_MAX) {
        status = KJ_ELIMIT;
    }
    if (!status && !kj__fields_pack(&merge.merged, &merged->packed)) {
        status = KJ_ENOMEM;
    }
    merged->has_token = merge.has_token;
    kj__fields_fini(&merge.merged);
    const char *token = kj_session_token(session);
    const char *next = merge.has_token ? kj__packed_fields_get(merged->packed, "token") : token;
    merged->is_new_token = !status && next && (!token || strcmp(next, token) != 0);
    return status;
}

void kj__session_set_parameters_take(struct kj_session *session,
                                     const struct kj__session_parameters *merged)
{
    if (!merged->is_changed) {
        return;
    }
    if (session->has_query) {
        free(session->parameters);
    } else {
        session->query = session->parameters;
        session->has_query = true;
    }
    session->parameters = merged->packed;
    session->has_pushed_token = merged->has_token;
}

/* ---- what users ask ---- */

struct kj_session *kj_session_ref(struct kj_session *session)
{
    kj__connection_ref(&session->connection);
    return session;
}

void kj_session_unref(struct kj_session *session)
{
    if (session) {
        kj__connection_unref(&session->connection);
    }
}

const char *kj_session_id(const struct kj_session *session)
{
    return session->id;
}

enum kj_encoding kj_session_read_encoding(const struct kj_session *session)
{
    return session->read_encoding;
}

enum kj_encoding kj_session_write_encoding(const struct kj_session *session)
{
    return session->write_encoding;
}

int64_t kj_session_start_ns(const struct kj_session *session)
{
    return session->start_ns;
}

const char *kj_session_parameter(const struct kj_session *session, const char *name)
{
    return kj__packed_fields_get(session->parameters, name);
}

const char *kj_session_query_parameter(const struct kj_session *session, const char *name)
{
    return kj__packed_fields_get(session->has_query ? session->query : session->parameters, name);
}

const char *kj_session_token(const struct kj_session *session)
{
    const char *header = kj_session_header(session, "Authorization");
    const char *cookie = session->connection.endpoint->token_cookie;
    const char *token = NULL;
    if (!session->has_pushed_token) {
        if (header && strncasecmp(header, "Bearer ", 7) == 0 && header[7]) {
            return header + 7;
        }
        token = cookie ? kj_session_cookie(session, cookie) : NULL;
    }
    return token && *token ? token : kj_session_parameter(session, "token");
}

void kj_session_set_expiry(struct kj_session *session, int64_t unix_ms)
{
    kj__connection_set_expiry(&session->connection, unix_ms);
}

int64_t kj_session_expiry(const struct kj_session *session)
{
    return atomic_load(&session->connection.expires_ms);
}

void kj_session_set_credential(struct kj_session *session, uint64_t credential)
{
    kj__credential_set(session, credential);
}

const char *kj_session_header(const struct kj_session *session, const char *name)
{
    return kj__packed_fields_get(session->headers, name);
}

const char *kj_session_cookie(const struct kj_session *session, const char *name)
{
    return kj__packed_fields_get(session->cookies, name);
}

const char *kj_session_remote_address(const struct kj_session *session)
{
    return session->remote_address;
}

const struct kj_certificate *kj_session_peer_certificate(const struct kj_session *session)
{
    return kj__certificate_seen(session->certificate);
}

enum kj_status kj_session_set_claims(struct kj_session *session, const char *const *claims,
                                     size_t count)
{
    return kj__status_of_errno(kj__claims_set(&session->claims, claims, count));
}

const char *const *kj_session_claims(const struct kj_session *session, size_t *count)
{
    *count = session->claims.count;
    return (const char *const *)session->claims.items;
}

const char *kj_session_claim(const struct kj_session *session, const char *key)
{
    return kj__claims_get(&session->claims, key);
}

void kj_session_set_data(struct kj_session *session, void *data, void (*release)(void *data))
{
    if (session->data && session->release_data) {
        session->release_data(session->data);
    }
    session->data = data;
    session->release_data = release;
    session->has_callers_data = false;
}

void *kj_session_data(const struct kj_session *session)
{
    return session->data;
}

bool kj_session_wants_errors(const struct kj_session *session)
{
    return session->wants_errors;
}
