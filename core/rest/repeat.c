/* repeat.c - see repeat.h. */
#include "rest/repeat.h"

#include "rest/request.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

_Static_assert((int)KJ__IDEMPOTENCY_DIGEST_SIZE == 32, "the size of SHA-256");

/* Adds what cannot run into its neighbours: the length goes first. */
static void add(EVP_MD_CTX *digest, const void *bytes, size_t len)
{
    uint64_t size = len;
    (void)EVP_DigestUpdate(digest, &size, sizeof size);
    (void)EVP_DigestUpdate(digest, bytes, len);
}

static void add_text(EVP_MD_CTX *digest, const char *text)
{
    text = text ? text : "";
    add(digest, text, strlen(text));
}

/* Every line of a header. */
static void add_header(EVP_MD_CTX *digest, const struct kj_context *context, const char *wanted)
{
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(context->http->headers, &cursor, &name, &value)) {
        if (strcasecmp(name, wanted) == 0) {
            add_text(digest, value);
        }
    }
    add_text(digest, wanted); /* so that the lines of two headers stay apart */
}

/* Who asks: the claims, where an authenticator knows the caller, since a token may be renewed
 * between two tries; else all that the caller has shown. */
static void add_caller(EVP_MD_CTX *digest, const struct kj_context *context)
{
    const struct kj_certificate *certificate = kj__certificate_seen(context->http->certificate);
    for (size_t i = 0; i < context->claims.count; i++) {
        add_text(digest, context->claims.items[i]);
    }
    if (context->claims.count == 0) {
        add_header(digest, context, "Authorization");
        add_header(digest, context, "Cookie");
        add_text(digest, context->token);
        add(digest, certificate ? certificate->der : NULL, certificate ? certificate->der_len : 0);
    }
}

/* Every parameter but the credential. */
static void add_query(EVP_MD_CTX *digest, const struct kj_context *context)
{
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(&context->query.all, &cursor, &name, &value)) {
        if (value != context->token) {
            add_text(digest, name);
            add_text(digest, value);
        }
    }
    add_text(digest, "parameters"); /* so that they and what follows stay apart */
}

/* What is asked, and whatever shapes the answer. */
static void add_request(EVP_MD_CTX *digest, const struct kj_context *context)
{
    const struct kj__http_request *http = context->http;
    const uint8_t encodings[] = {(uint8_t)context->request.read_encoding,
                                 (uint8_t)context->request.write_encoding};
    add_text(digest, http->method);
    add_text(digest, http->path);
    add_query(digest, context);
    add_text(digest, context->request.namespace_name);
    add(digest, encodings, sizeof encodings);
    add_header(digest, context, "X-Fields");
    add(digest, http->body, http->body_len);
}

static bool make_digest(void (*add_all)(EVP_MD_CTX *, const struct kj_context *),
                        const struct kj_context *context,
                        uint8_t value[KJ__IDEMPOTENCY_DIGEST_SIZE])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    if (done) {
        add_all(digest, context);
        done = EVP_DigestFinal_ex(digest, value, NULL);
    }
    EVP_MD_CTX_free(digest);
    return done;
}

static bool make_id(const struct kj_context *context, const char *key,
                    struct kj__idempotency_id *id)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t caller[KJ__IDEMPOTENCY_DIGEST_SIZE];
    if (!make_digest(add_caller, context, caller) ||
        !make_digest(add_request, context, id->request)) {
        return false;
    }
    char *at = id->key;
    for (size_t i = 0; i < sizeof caller; i++) {
        *at++ = digits[caller[i] >> 4];
        *at++ = digits[caller[i] & 15];
    }
    memcpy(at, key, strlen(key) + 1);
    return true;
}

/* The request's key, or NULL where it makes no difference. */
static const char *key_of(const struct kj_context *context)
{
    unsigned operation = context->request.operation;
    const char *key = kj_context_header(context, "Idempotency-Key");
    bool is_write = operation & (KJ_OP_CREATE | KJ_OP_UPDATE | KJ_OP_PATCH);
    return is_write && key && *key ? key : NULL;
}

static enum kj_status refuse(struct kj_context *context, enum kj__idempotency_verdict verdict)
{
    if (verdict == KJ__IDEMPOTENCY_NO_MEMORY) {
        return KJ_ENOMEM;
    }
    bool is_running = verdict == KJ__IDEMPOTENCY_RUNNING;
    struct kj_api_error error = {
        .code = is_running ? 409 : 422,
        .title = is_running ? "Conflict" : "Idempotency-Key is already used",
        .description = is_running ? "The first request with this Idempotency-Key is still running"
                                  : "This Idempotency-Key came with another request before",
        .subject = "kujata"};
    return kj_context_fail(context, &error);
}

enum kj__repeat_verdict kj__repeat_begin(struct kj__idempotency *store, struct kj_context *context,
                                         struct kj__http_response *response,
                                         struct kj__idempotency_id *id, enum kj_status *status)
{
    const char *key = store ? key_of(context) : NULL;
    if (!key) {
        return KJ__REPEAT_UNKEYED;
    }
    if (strlen(key) > KJ__IDEMPOTENCY_KEY_MAX) {
        *status = kj__context_refuse(context, 400, "kujata",
                                     "An Idempotency-Key has at most %d bytes",
                                     KJ__IDEMPOTENCY_KEY_MAX);
        return KJ__REPEAT_REFUSED;
    }
    enum kj__idempotency_verdict verdict = KJ__IDEMPOTENCY_NO_MEMORY;
    if (make_id(context, key, id)) {
        verdict = kj__idempotency_begin(store, id, response);
    }
    if (verdict == KJ__IDEMPOTENCY_RUN) {
        return KJ__REPEAT_FIRST;
    }
    if (verdict == KJ__IDEMPOTENCY_REPLAYED) {
        return KJ__REPEAT_ANSWERED;
    }
    *status = refuse(context, verdict);
    return KJ__REPEAT_REFUSED;
}

/* Answers that invite to try again must not be all that a retry gets. */
static bool is_final(int status)
{
    static const int passing[] = {401, 403, 408, 423, 425, 429};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        if (status == passing[i]) {
            return false;
        }
    }
    return status < 500;
}

/* After an answer without a body the client of bahamut uses its key again, for its next write. So
 * such an answer claims no key; that of an update or patch is not even kept, for an equal one
 * may be meant, and does no harm when it is not. */
void kj__repeat_finish(struct kj__idempotency *store, const struct kj_context *context,
                       const struct kj__http_response *response,
                       const struct kj__idempotency_id *id)
{
    bool is_success = response->status < 400;
    bool has_body = response->body.len > 0;
    bool is_create = context->request.operation == KJ_OP_CREATE;
    /* A transformer may dress one as the other: what either says is to come again is not final. */
    bool is_last_word = is_final(context->error_status) && is_final(response->status);
    bool is_kept = context->was_processed && is_last_word && (has_body || is_create);
    kj__idempotency_finish(store, id, is_kept ? response : NULL, is_success && has_body);
}
