/* switchboard.c - a server whose sessions are users.
 *
 *   switchboard --model FILE
 *
 * A session's token is its user. The token "bad" is refused with a long text, "quotes" with one
 * that grows when it is encoded, "slow" is looked at for as long as the file ./hold exists. Of
 * lists a session gets those whose name is its user; a list whose description is "direct" is not
 * published: it is pushed to each session that began as the user of that name.
 */
#include <kujata/kujata.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_MAX = 64 };

/* Sessions that are open. */
static struct {
    pthread_mutex_t lock;
    struct kj_session *kept[KEPT_MAX];
    char users[KEPT_MAX][32];
} board = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum kj_auth authenticate(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)ctx;
    const char *token = kj_session_token(session);
    if (!token) {
        return KJ_AUTH_REFUSE;
    }
    if (strcmp(token, "bad") == 0 || strcmp(token, "quotes") == 0) {
        memset(error->text, '"', sizeof error->text - 1);
        error->text[sizeof error->text - 1] = '\0';
        for (size_t i = 0; *token == 'b' && i + 2 < sizeof error->text; i += 2) {
            memcpy(error->text + i + 1, "\xc3\xa9", 2); /* the last is cut in two */
        }
        return KJ_AUTH_REFUSE;
    }
    while (strcmp(token, "slow") == 0 && access("hold", F_OK) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    char claim[64];
    (void)snprintf(claim, sizeof claim, "user=%s", token);
    return kj_session_set_claims(session, (const char *const[]){claim}, 1) ? KJ_AUTH_REFUSE
                                                                           : KJ_AUTH_ACCEPT;
}

static bool on_session_init(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)error, (void)ctx;
    return kj_session_query_parameter(session, "forbidden") == NULL;
}

static void on_session_start(struct kj_session *session, void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&board.lock);
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (!board.kept[i]) {
            board.kept[i] = kj_session_ref(session);
            (void)snprintf(board.users[i], sizeof board.users[i], "%s",
                           kj_session_claim(session, "user"));
            break;
        }
    }
    pthread_mutex_unlock(&board.lock);
}

static void on_session_stop(struct kj_session *session, void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&board.lock);
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (board.kept[i] == session) {
            board.kept[i] = NULL;
            kj_session_unref(session);
        }
    }
    pthread_mutex_unlock(&board.lock);
}

static const char *text_of(const struct kj_event *event, const char *attribute)
{
    const char *text = json_string_value(json_object_get(kj_event_entity(event), attribute));
    return text ? text : "";
}

static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)summary, (void)ctx;
    return strcmp(kj_event_identity(event), "list") != 0 ||
           strcmp(text_of(event, "name"), kj_session_claim(session, "user")) == 0;
}

static bool should_publish(const struct kj_event *event, void *ctx)
{
    (void)ctx;
    if (strcmp(text_of(event, "description"), "direct") != 0) {
        return true;
    }
    pthread_mutex_lock(&board.lock);
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (board.kept[i] && strcmp(board.users[i], text_of(event, "name")) == 0) {
            kj_session_push(board.kept[i], event);
        }
    }
    pthread_mutex_unlock(&board.lock);
    return false;
}

static int serve(struct kj_server_options *options, struct kj_store *store, const sigset_t *signals)
{
    struct kj_error error = {0};
    struct kj_server *server = NULL;
    const struct kj_processor processor = kj_store_processor(store);
    if (kj_server_new(options, &server, &error) || kj_server_register(server, NULL, &processor) ||
        kj_server_start(server, &error)) {
        (void)fprintf(stderr, "switchboard: %s\n", error.text);
        kj_server_free(server);
        return 1;
    }
    printf("kujata: listening on http://127.0.0.1:%u\n", kj_server_port(server));
    (void)fflush(stdout);
    int caught;
    sigwait(signals, &caught);
    kj_server_free(server);
    return 0;
}

int main(int argc, char **argv)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    struct kj_error error = {0};
    struct kj_model *model = NULL;
    struct kj_pubsub *pubsub = NULL;
    struct kj_store *store = NULL;
    const struct kj_session_authenticator authenticator = {.authenticate = authenticate};
    if (argc != 3 || kj_model_load(argv[2], &model, &error) || kj_pubsub_local_new(NULL, &pubsub) ||
        kj_store_memory_new(&store)) {
        (void)fprintf(stderr, "switchboard: %s\n", error.text);
        return 1;
    }
    struct kj_server_options options = {
        .listen = "127.0.0.1:0",
        .model = model,
        .pubsub = pubsub,
        .session_authenticators = &authenticator,
        .session_authenticator_count = 1,
        .dispatch.on_session_init = on_session_init,
        .dispatch.on_session_start = on_session_start,
        .dispatch.on_session_stop = on_session_stop,
        .dispatch.should_dispatch = should_dispatch,
        .publish.should_publish = should_publish,
    };
    int status = serve(&options, store, &signals);
    kj_store_free(store);
    kj_pubsub_free(pubsub);
    kj_model_free(model);
    return status;
}
