/* auth_certificate.c - see kujata/auth.h. */
#include "handlers/auth_caller.h"

#include <kujata/auth.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIMS_MAX = 32, VALUE_MAX = 1024 };

struct claims {
    char *items[CLAIMS_MAX];
    size_t count;
    bool failed;
};

/* A name without a value makes no claim. */
static void add(struct claims *claims, const char *key, const char *value)
{
    if (!value || !*value) {
        return;
    }
    size_t size = strlen(key) + 1 + strlen(value) + 1;
    char *claim = claims->count < CLAIMS_MAX ? malloc(size) : NULL;
    if (!claim) {
        claims->failed = true;
        return;
    }
    (void)snprintf(claim, size, "%s=%s", key, value);
    claims->items[claims->count++] = claim;
}

static void add_names(struct claims *claims, const char *key, const X509_NAME *subject, int nid)
{
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, nid, at)) >= 0;) {
        unsigned char *text = NULL;
        int len = ASN1_STRING_to_UTF8(&text,
                                      X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        bool is_text = len >= 0 && len <= VALUE_MAX && !memchr(text, '\0', (size_t)len);
        claims->failed |= !is_text; /* half a name would be another's */
        add(claims, key, is_text ? (const char *)text : NULL);
        OPENSSL_free(text);
    }
}

static void add_serial(struct claims *claims, const X509 *certificate)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *text = number ? BN_bn2dec(number) : NULL;
    claims->failed |= !text;
    add(claims, "@auth:serialnumber", text);
    OPENSSL_free(text);
    BN_free(number);
}

static void read_certificate(struct claims *claims, const struct kj_certificate *shown)
{
    const unsigned char *der = shown->der;
    X509 *certificate = d2i_X509(NULL, &der, (long)shown->der_len);
    if (!certificate) {
        claims->failed = true;
        return;
    }
    const X509_NAME *subject = X509_get_subject_name(certificate);
    add(claims, "@auth:realm", "certificate");
    add(claims, "@auth:mode", "internal");
    add_serial(claims, certificate);
    add_names(claims, "@auth:commonname", subject, NID_commonName);
    add_names(claims, "@auth:organization", subject, NID_organizationName);
    add_names(claims, "@auth:organizationalunit", subject, NID_organizationalUnitName);
    X509_free(certificate);
}

static enum kj_auth authenticate(const struct kj__caller *caller, bool others_follow)
{
    const struct kj_certificate *shown = caller->context
                                             ? kj_context_peer_certificate(caller->context)
                                             : kj_session_peer_certificate(caller->session);
    if (!shown) {
        return kj__caller_pass_on(caller, others_follow);
    }
    struct claims claims = {.count = 0};
    read_certificate(&claims, shown);
    enum kj_auth verdict = claims.failed
                               ? kj__caller_refuse(caller, "The certificate cannot be used")
                               : kj__caller_accept(caller, (const char *const *)claims.items,
                                                   claims.count, 0);
    while (claims.count > 0) {
        free(claims.items[--claims.count]);
    }
    return verdict;
}

/* What ctx points at: whether others follow. */
static bool no = false;
static bool yes = true;

static enum kj_auth authenticate_request(struct kj_context *context, void *ctx)
{
    return authenticate(&(struct kj__caller){.context = context}, *(const bool *)ctx);
}

static enum kj_auth authenticate_session(struct kj_session *session, struct kj_error *error,
                                         void *ctx)
{
    return authenticate(&(struct kj__caller){.session = session, .error = error},
                        *(const bool *)ctx);
}

struct kj_request_authenticator kj_auth_certificate_request(bool others_follow)
{
    return (struct kj_request_authenticator){.authenticate = authenticate_request,
                                             .ctx = others_follow ? &yes : &no};
}

struct kj_session_authenticator kj_auth_certificate_session(bool others_follow)
{
    return (struct kj_session_authenticator){.authenticate = authenticate_session,
                                             .ctx = others_follow ? &yes : &no};
}
