/* lamps.c - a program that has a state of its own: lamps over REST, told to those in their room.
 *
 *     kujata sub 'ws://127.0.0.1:8080/events?token=in-the-kitchen'
 *     curl -X PATCH -H 'Content-Type: application/json' -d '{"on": true}' \
 *         http://127.0.0.1:8080/lamps/1
 *     curl -X POST http://127.0.0.1:8080/switch/off
 */
#include <kujata/kujata.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct lamp {
    const char *id, *room;
    bool on;
} lamps[] = {{"1", "kitchen", false}, {"2", "kitchen", false}, {"3", "cellar", false}};
enum { LAMPS = sizeof lamps / sizeof *lamps };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of every lamp's `on` */
static struct kj_model *model;
static struct kj_server *server;

static json_t *as_json(struct lamp *lamp)
{
    pthread_mutex_lock(&lock);
    json_t *object = json_pack("{ss ss sb}", "ID", lamp->id, "room", lamp->room, "on", lamp->on);
    pthread_mutex_unlock(&lock);
    return object;
}

static json_t *turn(struct lamp *lamp, bool on)
{
    pthread_mutex_lock(&lock);
    lamp->on = on;
    pthread_mutex_unlock(&lock);
    return as_json(lamp);
}

static struct lamp *asked_for(struct kj_context *context)
{
    const struct kj_api_error missing = {.code = 404, .title = "No such lamp"};
    for (size_t i = 0; i < LAMPS; i++) {
        if (strcmp(lamps[i].id, kj_context_request(context)->object_id) == 0) {
            return &lamps[i];
        }
    }
    kj_context_fail(context, &missing);
    return NULL;
}

/* ---- the processor: on workers, several at once ---- */

static enum kj_status retrieve_many(struct kj_context *context, void *ctx)
{
    (void)ctx;
    json_t *array = json_array();
    for (size_t i = 0; i < LAMPS; i++) {
        json_array_append_new(array, as_json(&lamps[i]));
    }
    kj_context_set_count(context, LAMPS);
    kj_context_set_output_take(context, array);
    return KJ_OK;
}

static enum kj_status fetch(struct kj_context *context, json_t **object, void *ctx)
{
    (void)ctx;
    struct lamp *lamp = asked_for(context);
    *object = lamp ? as_json(lamp) : NULL;
    return lamp ? KJ_OK : KJ_EREFUSED;
}

static enum kj_status retrieve(struct kj_context *context, void *ctx)
{
    json_t *object;
    enum kj_status status = fetch(context, &object, ctx);
    kj_context_set_output_take(context, object);
    return status;
}

/* Serves PUT and, with fetch, PATCH. The output is the answer and the event. */
static enum kj_status update(struct kj_context *context, void *ctx)
{
    (void)ctx;
    struct lamp *lamp = asked_for(context);
    bool on = json_is_true(json_object_get(kj_context_input(context), "on"));
    kj_context_set_output_take(context, lamp ? turn(lamp, on) : NULL);
    return lamp ? KJ_OK : KJ_EREFUSED;
}

/* POST /switch/on and /switch/off: whoever hears of a lamp hears of this. */
static void switch_all(struct kj_exchange *exchange, void *ctx)
{
    (void)ctx;
    bool on = strcmp(kj_exchange_path(exchange), "/switch/on") == 0;
    for (size_t i = 0; i < LAMPS; i++) {
        struct kj_event *event = NULL;
        json_t *object = turn(&lamps[i], on);
        if (kj_event_new(kj_model_identity(model, "lamp"), KJ_EVENT_UPDATE, object, &event) == 0) {
            (void)kj_server_push(server, event); /* the lamp is lit in any case */
        }
        kj_event_unref(event);
        json_decref(object);
    }
    kj_exchange_answer(exchange, 204, NULL, NULL, 0);
}

/* ---- sessions ---- */

/* A token says in which room somebody is. */
static enum kj_auth authenticate(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)ctx;
    const char *token = kj_session_token(session);
    const char *claim = !token                             ? NULL
                        : !strcmp(token, "in-the-kitchen") ? "room=kitchen"
                        : !strcmp(token, "in-the-cellar")  ? "room=cellar"
                                                           : NULL;
    if (!claim || kj_session_set_claims(session, &claim, 1)) {
        kj_error_set(error, 0, "Nobody is in that room");
        return KJ_AUTH_REFUSE;
    }
    return KJ_AUTH_ACCEPT;
}

static bool sees(struct kj_session *session, const char *room)
{
    const char *own = kj_session_claim(session, "room");
    return own && room && strcmp(own, room) == 0;
}

static bool should_dispatch(struct kj_session *session, const struct kj_event *event,
                            const void *summary, void *ctx)
{
    (void)summary, (void)ctx;
    return sees(session, json_string_value(json_object_get(kj_event_entity(event), "room")));
}

/* Whoever comes is told how the lamps are. */
static void on_session_start(struct kj_session *session, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < LAMPS; i++) {
        struct kj_event *event = NULL;
        json_t *object = as_json(&lamps[i]);
        if (sees(session, lamps[i].room) &&
            kj_event_new(kj_model_identity(model, "lamp"), KJ_EVENT_UPDATE, object, &event) == 0) {
            (void)kj_session_push(session, event); /* a session that has ended wants none */
        }
        kj_event_unref(event);
        json_decref(object);
    }
}

static bool add_routes(struct kj_error *error)
{
    struct kj_route on = {.method = "POST", .path = "/switch/on", .handle = switch_all};
    struct kj_route off = {.method = "POST", .path = "/switch/off", .handle = switch_all};
    return kj_server_add_route(server, &on, error) == 0 &&
           kj_server_add_route(server, &off, error) == 0;
}

int main(int argc, char **argv)
{
    const struct kj_attribute_spec attributes[] = {{.name = "room", .read_only = true},
                                                   {.name = "on", .type = KJ_TYPE_BOOLEAN}};
    const struct kj_identity_spec lamp = {
        .name = "lamp", .category = "lamps", .attributes = attributes, .attribute_count = 2};
    const struct kj_relation_spec relation = {.child = "lamp",
                                              .operations = KJ_OP_RETRIEVE_MANY | KJ_OP_RETRIEVE |
                                                            KJ_OP_UPDATE | KJ_OP_PATCH};
    const struct kj_model_spec spec = {
        .identities = &lamp, .identity_count = 1, .relations = &relation, .relation_count = 1};
    const struct kj_processor processor = {
        .retrieve_many = retrieve_many, .retrieve = retrieve, .update = update, .fetch = fetch};
    const struct kj_session_authenticator authenticator = {.authenticate = authenticate};
    struct kj_server_options options = {
        .listen = argc > 1 ? argv[1] : "127.0.0.1:8080",
        .session_authenticators = &authenticator,
        .session_authenticator_count = 1,
        .dispatch = {.on_session_start = on_session_start, .should_dispatch = should_dispatch}};
    struct kj_error error = {.text = "out of memory"};
    if (kj_model_new(&spec, &model, &error) || kj_pubsub_local_new(NULL, &options.pubsub)) {
        return fprintf(stderr, "%s\n", error.text), 1;
    }
    options.model = model;
    if (kj_server_new(&options, &server, &error) ||
        kj_server_register(server, "lamp", &processor) || !add_routes(&error) ||
        kj_server_run(server, &error)) {
        return fprintf(stderr, "%s\n", error.text), 1;
    }
    kj_server_free(server);
    kj_pubsub_free(options.pubsub);
    kj_model_free(model);
}
