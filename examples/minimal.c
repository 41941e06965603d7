/* minimal.c - tasks over REST on 127.0.0.1:8080, their changes pushed on /events. */
#include <kujata/kujata.h>
#include <stdio.h>

/* Nobody is told of tasks that are hidden. */
static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)session, (void)summary, (void)ctx;
    return !json_is_true(json_object_get(kj_event_entity(event), "hidden"));
}

int main(int argc, char **argv)
{
    const struct kj_attribute_spec title_and_hidden[] = {
        {.name = "title", .required = true}, {.name = "hidden", .type = KJ_TYPE_BOOLEAN}};
    const struct kj_identity_spec task = {"task", "tasks", 1, title_and_hidden, 2, NULL, NULL};
    const struct kj_relation_spec relation = {.child = "task", .operations = KJ_OP_ALL};
    const struct kj_model_spec spec = {1, &task, 1, &relation, 1};
    struct kj_server_options options = {.listen = argc > 1 ? argv[1] : "127.0.0.1:8080"};
    struct kj_error error = {.text = "out of memory"};
    struct kj_model *model;
    struct kj_store *store;
    struct kj_server *server;
    if (kj_model_new(&spec, &model, &error) || kj_store_memory_new(&store) ||
        kj_pubsub_local_new(NULL, &options.pubsub)) {
        return fprintf(stderr, "%s\n", error.text), 1;
    }
    const struct kj_processor processor = kj_store_processor(store);
    options.model = model;
    options.dispatch.should_dispatch = should_dispatch;
    if (kj_server_new(&options, &server, &error) || kj_server_register(server, NULL, &processor) ||
        kj_server_run(server, &error)) {
        return fprintf(stderr, "%s\n", error.text), 1;
    }
    kj_server_free(server);
    kj_store_free(store);
    kj_pubsub_free(options.pubsub);
    kj_model_free(model);
}
