/* tls_context.c - see tls_context.h. */
#include "http/tls_context.h"

#include "codec/pem_fault.h"

#include <openssl/err.h>

/* What TLS 1.2 may use: authenticated encryption with forward secrecy. 1.3 has nothing else. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* ---- what a worker knows of its connection ---- */

static _Thread_local struct {
    SSL *ssl; /* dangling once the handshake failed, as civetweb frees it then */
    bool is_complete;
    bool has_looked; /* for the certificate */
    struct kj__certificate *certificate;
} worker;

static void on_progress(const SSL *ssl, int where, int value)
{
    (void)value;
    if (where & SSL_CB_HANDSHAKE_START) {
        worker.ssl = (SSL *)ssl;
        worker.is_complete = false;
    }
    if (where & SSL_CB_HANDSHAKE_DONE) {
        worker.is_complete = worker.ssl == ssl;
    }
}

SSL *kj__tls_of_worker(void)
{
    return worker.is_complete ? worker.ssl : NULL;
}

enum kj_status kj__tls_certificate_of_worker(struct kj__certificate **certificate)
{
    enum kj_status status = KJ_OK;
    if (worker.is_complete && !worker.has_looked) {
        status = kj__tls_peer_certificate(worker.ssl, &worker.certificate);
        worker.has_looked = !status;
    }
    *certificate = worker.certificate;
    return status;
}

void kj__tls_forget_worker(void)
{
    kj__certificate_unref(worker.certificate);
    worker.certificate = NULL;
    worker.has_looked = false;
    worker.ssl = NULL;
    worker.is_complete = false;
}

/* ---- files ---- */

/* A server cannot ask anybody. */
static int refuse_passphrase(char *text, int size, int is_for_writing, void *ctx)
{
    (void)text;
    (void)size;
    (void)is_for_writing;
    (void)ctx;
    return -1;
}

static enum kj_status load_own(SSL_CTX *made, const struct kj__tls_files *files,
                               struct kj_error *error)
{
    if (SSL_CTX_use_certificate_chain_file(made, files->certificate) != 1) {
        return kj__pem_refuse("tls_certificate (--tls-cert)", files->certificate, error);
    }
    SSL_CTX_set_default_passwd_cb(made, refuse_passphrase);
    if (SSL_CTX_use_PrivateKey_file(made, files->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(made) != 1) {
        return kj__pem_refuse("tls_key (--tls-key)", files->key, error);
    }
    return KJ_OK;
}

/* Who the client is is read once the handshake is over; the chain that led there, kilobytes of
 * decoded certificates, would stay as long as the connection. */
static int verify_and_forget_chain(X509_STORE_CTX *verification, void *ctx)
{
    (void)ctx;
    int result = X509_verify_cert(verification);
    X509_STORE_CTX_set0_verified_chain(verification, NULL);
    return result;
}

static enum kj_status load_client_ca(SSL_CTX *made, const struct kj__tls_files *files,
                                     struct kj_error *error)
{
    if (!files->client_ca || files->client_certificate == KJ_CLIENT_CERTIFICATE_NONE) {
        return KJ_OK;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(files->client_ca);
    if (!names || SSL_CTX_load_verify_locations(made, files->client_ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return kj__pem_refuse("tls_client_ca (--tls-client-ca)", files->client_ca, error);
    }
    SSL_CTX_set_client_CA_list(made, names);
    bool is_optional = files->client_certificate == KJ_CLIENT_CERTIFICATE_OPTIONAL;
    SSL_CTX_set_verify(
        made, is_optional ? SSL_VERIFY_PEER : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
        NULL);
    SSL_CTX_set_cert_verify_callback(made, verify_and_forget_chain, NULL);
    /* A resumed session would not be verified again, by whichever authority is in force. */
    SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(made, 0);
    return KJ_OK;
}

static bool set_protocol(SSL_CTX *made)
{
    static const unsigned char id[] = "kujata";
    SSL_CTX_set_info_callback(made, on_progress);
    /* Clients leave without a close-notify, and TCP says as much: where a body or a message
     * ends is told by HTTP and by frames. */
    SSL_CTX_set_options(made, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION |
                                  SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
    /* Tickets keep what is needed to resume with the client; nothing is kept here. */
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_session_id_context(made, id, sizeof id - 1) == 1 &&
           SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(made, ciphers) == 1;
}

static enum kj_status load(const struct kj__tls_files *files, SSL_CTX **result,
                           struct kj_error *error)
{
    ERR_clear_error();
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    enum kj_status status = KJ_OK;
    if (!made || !set_protocol(made)) {
        kj_error_set(error, 0, "cannot make a TLS context");
        ERR_clear_error();
        status = KJ_ENOMEM;
    }
    status = status ? status : load_own(made, files, error);
    status = status ? status : load_client_ca(made, files, error);
    if (status) {
        SSL_CTX_free(made);
        return status;
    }
    *result = made;
    return KJ_OK;
}

/* ---- the context in force ---- */

static int move_to_current(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    struct kj__tls_context *context = argument;
    pthread_mutex_lock(&context->lock);
    SSL_CTX *moved_to = SSL_set_SSL_CTX(ssl, context->current);
    pthread_mutex_unlock(&context->lock);
    return moved_to ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

enum kj_status kj__tls_context_init(struct kj__tls_context *context,
                                    const struct kj__tls_files *files, struct kj_error *error)
{
    *context = (struct kj__tls_context){.files = *files};
    enum kj_status status = load(files, &context->first, error);
    /* Not the same: what is made of this one knows nothing of `context`. */
    status = status ? status : load(files, &context->current, error);
    if (status) {
        SSL_CTX_free(context->first);
        return status;
    }
    pthread_mutex_init(&context->lock, NULL);
    SSL_CTX_set_client_hello_cb(context->first, move_to_current, context);
    return KJ_OK;
}

void kj__tls_context_fini(struct kj__tls_context *context)
{
    SSL_CTX_free(context->current);
    SSL_CTX_free(context->first);
    pthread_mutex_destroy(&context->lock);
}

enum kj_status kj__tls_context_reload(struct kj__tls_context *context, struct kj_error *error)
{
    SSL_CTX *made = NULL;
    enum kj_status status = load(&context->files, &made, error);
    if (status) {
        return status;
    }
    pthread_mutex_lock(&context->lock);
    SSL_CTX *before = context->current;
    context->current = made;
    pthread_mutex_unlock(&context->lock);
    SSL_CTX_free(before);
    return KJ_OK;
}

SSL *kj__tls_context_new_ssl(struct kj__tls_context *context)
{
    pthread_mutex_lock(&context->lock);
    SSL *ssl = SSL_new(context->current);
    pthread_mutex_unlock(&context->lock);
    if (ssl) {
        SSL_set_accept_state(ssl);
    }
    return ssl;
}
