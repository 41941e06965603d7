/* trace_server.c - the server whose exchanges tests/traces holds, made of the public interface:
 * a store, and a processor of lists that does odd things where a list's name says so.
 *
 *   trace_server --model FILE [--token TEXT] [--pubsub URL] [--topic NAME] [--without IDENTITY]
 *                [--subject-hierarchies]
 *
 * --token wants it of every request and session, --without leaves an identity without processor.
 */
#include <getopt.h>
#include <kujata/kujata.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct settings {
    const char *model, *token, *pubsub, *topic, *without;
    int subject_hierarchies;
};

static const char subject[] = "bahamut-bench";

/* ---- what the name of a list asks for ---- */

static enum kj_status answer_nothing(struct kj_context *context, struct kj_store *store)
{
    (void)context, (void)store;
    return KJ_OK;
}

static enum kj_status accept_without_output(struct kj_context *context, struct kj_store *store)
{
    (void)store;
    kj_context_set_status(context, 202);
    return KJ_OK;
}

static enum kj_status create(struct kj_context *context, struct kj_store *store)
{
    return kj_store_processor(store).create(context, store);
}

static enum kj_status create_as_created(struct kj_context *context, struct kj_store *store)
{
    kj_context_set_status(context, 201);
    return create(context, store);
}

static enum kj_status create_with_messages(struct kj_context *context, struct kj_store *store)
{
    enum kj_status status = kj_context_add_message(context, "first message");
    status = status ? status : kj_context_add_message(context, "second message");
    return status ? status : create(context, store);
}

static enum kj_status create_with_cookies(struct kj_context *context, struct kj_store *store)
{
    static const struct kj_cookie cookies[] = {
        {.name = "c1", .value = "v1", .path = "/"},
        {.name = "c2", .value = "v2", .http_only = true},
    };
    enum kj_status status = kj_context_add_cookie(context, &cookies[0]);
    status = status ? status : kj_context_add_cookie(context, &cookies[1]);
    return status ? status : create(context, store);
}

static enum kj_status create_and_redirect(struct kj_context *context, struct kj_store *store)
{
    enum kj_status status = kj_context_set_redirect(context, "http://127.0.0.1/elsewhere");
    return status ? status : create(context, store);
}

static enum kj_status fail_plainly(struct kj_context *context, struct kj_store *store)
{
    (void)context, (void)store;
    return KJ_EIO;
}

static enum kj_status fail_twice(struct kj_context *context, struct kj_store *store)
{
    (void)store;
    json_t *data = json_pack("{s:b, s:f, s:s, s:i}", "b", 1, "f", 1.5, "k", "v", "n", 12);
    kj_context_fail(context, &(struct kj_api_error){.code = 409,
                                                    .title = "First",
                                                    .description = "first error",
                                                    .subject = subject});
    kj_context_fail(context, &(struct kj_api_error){.code = 403,
                                                    .title = "Second",
                                                    .description = "second error",
                                                    .subject = subject,
                                                    .data = data});
    json_decref(data);
    return KJ_EREFUSED;
}

static enum kj_status create_with_an_event(struct kj_context *context, struct kj_store *store)
{
    enum kj_status status = create(context, store);
    if (status) {
        return status;
    }
    char id[KJ_OBJECT_ID_SIZE];
    kj_object_id_make(id);
    const char *list_id = json_string_value(json_object_get(kj_context_output(context), "ID"));
    json_t *task = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "description", "", "name",
                             "enqueued", "parentID", list_id, "parentType", "list", "status",
                             "TODO");
    struct kj_event *event;
    status = kj_event_new_untyped("task", KJ_EVENT_UPDATE, task, &event);
    json_decref(task);
    if (!status) {
        status = kj_context_enqueue_event(context, event);
        kj_event_unref(event);
    }
    return status;
}

static enum kj_status create_list(struct kj_context *context, void *ctx)
{
    static const struct {
        const char *name;
        enum kj_status (*create)(struct kj_context *context, struct kj_store *store);
    } odd[] = {
        {"__nil", answer_nothing},         {"__nostatus", accept_without_output},
        {"__status", create_as_created},   {"__message", create_with_messages},
        {"__cookie", create_with_cookies}, {"__redirect", create_and_redirect},
        {"__error", fail_plainly},         {"__errors", fail_twice},
        {"__event", create_with_an_event},
    };
    const char *name = json_string_value(json_object_get(kj_context_input(context), "name"));
    for (size_t i = 0; name && i < sizeof odd / sizeof *odd; i++) {
        if (strcmp(odd[i].name, name) == 0) {
            return odd[i].create(context, ctx);
        }
    }
    return create(context, ctx);
}

/* ---- who gets in ---- */

static enum kj_auth authenticate_request(struct kj_context *context, void *ctx)
{
    const struct kj_request *request = kj_context_request(context);
    return strcmp(request->password, ctx) == 0 ? KJ_AUTH_ACCEPT : KJ_AUTH_REFUSE;
}

static enum kj_auth authenticate_session(struct kj_session *session, struct kj_error *error,
                                         void *ctx)
{
    (void)error;
    const char *token = kj_session_token(session);
    return token && strcmp(token, ctx) == 0 ? KJ_AUTH_ACCEPT : KJ_AUTH_REFUSE;
}

static bool on_session_init(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)ctx;
    const char *name = kj_session_parameter(session, "namespace");
    if (name && strcmp(name, "/error") == 0) {
        kj_error_set(error, 0, "bench: no session in this namespace");
        return false;
    }
    return !name || strcmp(name, "/forbidden") != 0;
}

/* A list described as "for TOKEN" is for those with that token only. */
static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)summary, (void)ctx;
    static const char prefix[] = "for ";
    const json_t *member = json_object_get(kj_event_entity(event), "description");
    const char *description = json_string_value(member);
    const char *token = kj_session_token(session);
    return !description || strncmp(description, prefix, strlen(prefix)) != 0 ||
           (token && strcmp(description + strlen(prefix), token) == 0);
}

/* ---- running it ---- */

static enum kj_status register_processors(struct kj_server *server, struct kj_store *store,
                                          const char *without)
{
    static const char *const names[] = {"list", "task", "user"};
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++) {
        struct kj_processor processor = kj_store_processor(store);
        if (strcmp(names[i], "list") == 0) {
            processor.create = create_list;
        }
        if (!without || strcmp(without, names[i]) != 0) {
            status = kj_server_register(server, names[i], &processor);
        }
    }
    return status;
}

/* Serves until SIGTERM. */
static enum kj_status serve(const struct kj_server_options *options, struct kj_store *store,
                            const char *without, const sigset_t *signals, struct kj_error *error)
{
    struct kj_server *server = NULL;
    enum kj_status status = kj_server_new(options, &server, error);
    status = status ? status : register_processors(server, store, without);
    status = status ? status : kj_server_start(server, error);
    if (!status) {
        printf("kujata: listening on http://127.0.0.1:%u\n", kj_server_port(server));
        (void)fflush(stdout);
        int caught;
        sigwait(signals, &caught);
    }
    kj_server_free(server);
    return status;
}

static bool parse(struct settings *settings, int argc, char **argv)
{
    const struct option flags[] = {
        {"model", required_argument, NULL, 'm'},
        {"token", required_argument, NULL, 't'},
        {"pubsub", required_argument, NULL, 'p'},
        {"topic", required_argument, NULL, 'o'},
        {"without", required_argument, NULL, 'w'},
        {"subject-hierarchies", no_argument, &settings->subject_hierarchies, true},
        {0},
    };
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        const char **target = flag == 'm'   ? &settings->model
                              : flag == 't' ? &settings->token
                              : flag == 'p' ? &settings->pubsub
                              : flag == 'o' ? &settings->topic
                              : flag == 'w' ? &settings->without
                                            : NULL;
        if (target) {
            *target = optarg;
        } else if (flag) {
            return false;
        }
    }
    return settings->model && optind == argc;
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    if (!parse(&settings, argc, argv)) {
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    const struct kj_pubsub_nats_options nats = {.urls = settings.pubsub};
    struct kj_error error = {.text = "out of memory"};
    struct kj_model *model = NULL;
    struct kj_pubsub *pubsub = NULL;
    struct kj_store *store = NULL;
    enum kj_status status = kj_model_load(settings.model, &model, &error);
    status = status ? status : kj_store_memory_new(&store);
    if (!status) {
        status = settings.pubsub ? kj_pubsub_nats_new(&nats, &pubsub, &error)
                                 : kj_pubsub_local_new(NULL, &pubsub);
    }
    const struct kj_request_authenticator request_authenticator = {authenticate_request,
                                                                   (void *)settings.token};
    const struct kj_session_authenticator session_authenticator = {authenticate_session,
                                                                   (void *)settings.token};
    const struct kj_server_options options = {
        .listen = "127.0.0.1:0",
        .model = model,
        .pubsub = pubsub,
        .topic = settings.topic,
        .subject_hierarchies = settings.subject_hierarchies,
        .token_cookie = "x-token",
        .shards = 1, /* what one session has heard has been decided for all */
        /* Many bad push configs come from one address. */
        .limits = {.bad_config_wait_ms = 1, .bad_config_wait_max_ms = 1},
        .request_authenticators = &request_authenticator,
        .request_authenticator_count = settings.token ? 1 : 0,
        .session_authenticators = &session_authenticator,
        .session_authenticator_count = settings.token ? 1 : 0,
        .dispatch = {.on_session_init = on_session_init, .should_dispatch = should_dispatch},
    };
    status = status ? status : serve(&options, store, settings.without, &signals, &error);
    if (status) {
        (void)fprintf(stderr, "trace_server: %s\n", error.text);
    }
    kj_store_free(store);
    kj_pubsub_free(pubsub);
    kj_model_free(model);
    return status ? 1 : 0;
}
