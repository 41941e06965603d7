/* whoami.c - a TLS server whose answers say who its handlers take the client for.
 *
 *   whoami --model FILE --tls-cert FILE --tls-key FILE --tls-client-ca FILE none|optional|required
 *
 * Every REST call is refused with 403 and every session with 403; the description is the
 * subject, the names and the length of the certificate, or "nobody".
 */
#include <kujata/kujata.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe(const struct kj_certificate *certificate, char *text, size_t size)
{
    if (!certificate) {
        (void)snprintf(text, size, "nobody");
        return;
    }
    int used = snprintf(text, size, "%s", certificate->subject);
    for (size_t i = 0; certificate->names[i] && used > 0 && (size_t)used < size; i++) {
        used += snprintf(text + used, size - (size_t)used, " %s", certificate->names[i]);
    }
    if (used > 0 && (size_t)used < size) {
        (void)snprintf(text + used, size - (size_t)used, " %zu", certificate->der_len);
    }
}

static enum kj_auth authorize(struct kj_context *context, void *ctx)
{
    (void)ctx;
    char text[KJ_ERROR_TEXT_MAX];
    describe(kj_context_peer_certificate(context), text, sizeof text);
    kj_context_fail(context, &(struct kj_api_error){.code = 403, .description = text});
    return KJ_AUTH_REFUSE;
}

static bool on_session_init(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)ctx;
    describe(kj_session_peer_certificate(session), error->text, sizeof error->text);
    return false;
}

static enum kj_client_certificate parse_asked(const char *text)
{
    return strcmp(text, "none") == 0       ? KJ_CLIENT_CERTIFICATE_NONE
           : strcmp(text, "optional") == 0 ? KJ_CLIENT_CERTIFICATE_OPTIONAL
                                           : KJ_CLIENT_CERTIFICATE_REQUIRED;
}

static int serve(struct kj_server_options *options, const sigset_t *signals)
{
    struct kj_error error = {0};
    struct kj_server *server = NULL;
    const struct kj_processor processor = {0};
    if (kj_server_new(options, &server, &error) || kj_server_register(server, NULL, &processor) ||
        kj_server_start(server, &error)) {
        (void)fprintf(stderr, "whoami: %s\n", error.text);
        kj_server_free(server);
        return 1;
    }
    printf("kujata: listening on https://127.0.0.1:%u\n", kj_server_port(server));
    (void)fflush(stdout);
    int caught;
    sigwait(signals, &caught);
    kj_server_free(server);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 10) {
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    struct kj_error error = {0};
    struct kj_model *model = NULL;
    struct kj_pubsub *pubsub = NULL;
    const struct kj_authorizer authorizer = {.authorize = authorize};
    if (kj_model_load(argv[2], &model, &error) || kj_pubsub_local_new(NULL, &pubsub)) {
        (void)fprintf(stderr, "whoami: %s\n", error.text);
        return 1;
    }
    struct kj_server_options options = {
        .listen = "127.0.0.1:0",
        .model = model,
        .pubsub = pubsub,
        .tls_certificate = argv[4],
        .tls_key = argv[6],
        .tls_client_ca = argv[8],
        .tls_client_certificate = parse_asked(argv[9]),
        .authorizers = &authorizer,
        .authorizer_count = 1,
        .dispatch.on_session_init = on_session_init,
    };
    int status = serve(&options, &signals);
    kj_pubsub_free(pubsub);
    kj_model_free(model);
    return status;
}
