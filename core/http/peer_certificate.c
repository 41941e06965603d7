/* peer_certificate.c - a client's certificate in our words; see tls_context.h. */
#include "http/tls_context.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { NAMES_MAX = 64 }; /* of one certificate; what is beyond is left out */

/* Text that grows in a memory BIO; each ends with a NUL, so that several lie in one. */
static const char *text_from(BIO *text, long start)
{
    char *all;
    BIO_get_mem_data(text, &all);
    return all + start;
}

static long end_text(BIO *text)
{
    BIO_write(text, "", 1);
    return BIO_get_mem_data(text, NULL);
}

/* Appends every alternative name to `text` and where each starts to `starts`. */
static size_t print_names(X509 *x509, BIO *text, long starts[NAMES_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    int count = sk_GENERAL_NAME_num(names); /* -1 for none */
    size_t used = 0;
    for (int i = 0; i < count && used < NAMES_MAX; i++) {
        starts[used++] = BIO_get_mem_data(text, NULL);
        GENERAL_NAME_print(text, sk_GENERAL_NAME_value(names, i));
        end_text(text);
    }
    GENERAL_NAMES_free(names);
    return used;
}

static struct kj__certificate *describe(X509 *x509, BIO *text, const uint8_t *der, int der_len)
{
    long starts[NAMES_MAX];
    const char *names[NAMES_MAX + 1];
    X509_NAME_print_ex(text, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253);
    end_text(text);
    size_t count = print_names(x509, text, starts);
    for (size_t i = 0; i < count; i++) {
        names[i] = text_from(text, starts[i]);
    }
    names[count] = NULL;
    return kj__certificate_new(&(struct kj_certificate){
        .subject = text_from(text, 0), .names = names, .der = der, .der_len = (size_t)der_len});
}

enum kj_status kj__tls_peer_certificate(SSL *ssl, struct kj__certificate **certificate)
{
    *certificate = NULL;
    X509 *x509 = SSL_get0_peer_certificate(ssl);
    if (!x509 || SSL_get_verify_result(ssl) != X509_V_OK) {
        return KJ_OK;
    }
    uint8_t *der = NULL;
    BIO *text = BIO_new(BIO_s_mem());
    int der_len = i2d_X509(x509, &der);
    if (text && der_len > 0) {
        *certificate = describe(x509, text, der, der_len);
    }
    OPENSSL_free(der);
    BIO_free(text);
    ERR_clear_error();
    return *certificate ? KJ_OK : KJ_ENOMEM;
}
