/* tickets.c - tickets over REST, their changes on /events: tickets MODEL TOKENS [ADDR:PORT] */
#include <kujata/kujata.h>
#include <stdio.h>
#include <string.h>

static kj_process create_in_store;

static bool is_staff(const char *role)
{
    return role && strcmp(role, "staff") == 0;
}

/* ProcessCreate: the server says who reported a ticket. */
static enum kj_status create(struct kj_context *context, void *store)
{
    json_t *reporter = json_string(kj_context_claim(context, "sub"));
    if (json_object_set_new(kj_context_input(context), "reporter", reporter) != 0) {
        return KJ_ENOMEM;
    }
    return create_in_store(context, store);
}

/* IsAuthorized: only staff deletes. */
static enum kj_auth authorize(struct kj_context *context, void *ctx)
{
    (void)ctx;
    bool is_delete = kj_context_request(context)->operation == KJ_OP_DELETE;
    return is_delete && !is_staff(kj_context_claim(context, "role")) ? KJ_AUTH_REFUSE
                                                                     : KJ_AUTH_CONTINUE;
}

/* ShouldDispatch: only staff hears of internal tickets. */
static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)summary, (void)ctx;
    return !json_is_true(json_object_get(kj_event_entity(event), "internal")) ||
           is_staff(kj_session_claim(session, "role"));
}

static int serve(const struct kj_server_options *options, const struct kj_processor *processor,
                 struct kj_error *error)
{
    struct kj_server *server;
    if (kj_server_new(options, &server, error)) {
        return 1;
    }
    bool failed = kj_server_register(server, "ticket", processor) || kj_server_run(server, error);
    kj_server_free(server);
    return failed;
}

int main(int argc, char **argv)
{
    struct kj_error error = {.text = "tickets MODEL TOKENS [ADDR:PORT]"};
    struct kj_model *model = NULL;
    struct kj_auth_tokens *tokens = NULL;
    struct kj_pubsub *pubsub = NULL;
    struct kj_store *store = NULL;
    int failed = argc < 3 || kj_model_load(argv[1], &model, &error) ||
                 kj_auth_tokens_new(&(struct kj_auth_tokens_options){.file = argv[2]}, &tokens,
                                    &error) ||
                 kj_pubsub_local_new(NULL, &pubsub) || kj_store_memory_new(&store);
    if (!failed) {
        struct kj_processor processor = kj_store_processor(store);
        create_in_store = processor.create;
        processor.create = create;
        const struct kj_request_authenticator of_calls = kj_auth_tokens_request(tokens);
        const struct kj_session_authenticator of_sessions = kj_auth_tokens_session(tokens);
        const struct kj_authorizer authorizer = {.authorize = authorize};
        const struct kj_server_options options = {
            .listen = argc > 3 ? argv[3] : "127.0.0.1:8080",
            .model = model,
            .pubsub = pubsub,
            .topic = "events",
            .request_authenticators = &of_calls,
            .request_authenticator_count = 1,
            .session_authenticators = &of_sessions,
            .session_authenticator_count = 1,
            .authorizers = &authorizer,
            .authorizer_count = 1,
            .dispatch = {.should_dispatch = should_dispatch},
        };
        failed = serve(&options, &processor, &error);
    }
    if (failed) {
        fprintf(stderr, "%s\n", error.text);
    }
    kj_store_free(store);
    kj_pubsub_free(pubsub);
    kj_auth_tokens_free(tokens);
    kj_model_free(model);
    return failed;
}
