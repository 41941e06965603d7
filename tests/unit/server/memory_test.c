/* memory_test.c - what the public headers make, under an allocator that fails at each call in
 * turn: a model, a filter, an event, a store, a server that starts, a client that connects.
 *
 * Publications, push configs and backends have tests like this one beside theirs. What leaks is
 * the address sanitizer's to report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing_allocator.h"

#include <kujata/kujata.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS_MAX = 4000 };

static const char model_text[] =
    "{\"identities\":[{\"name\":\"list\",\"category\":\"lists\",\"attributes\":["
    "{\"name\":\"name\",\"required\":true,\"pattern\":\"^[a-z]\",\"max_length\":9},"
    "{\"name\":\"state\",\"allowed\":[\"on\",\"off\"],\"default\":\"on\"},"
    "{\"name\":\"due\",\"type\":\"time\"},{\"name\":\"tags\",\"type\":\"list\"},"
    "{\"name\":\"secret\",\"secret\":true}]}],"
    "\"relations\":[{\"child\":\"list\",\"operations\":[\"all\"],"
    "\"parameters\":[{\"name\":\"level\",\"type\":\"enum\",\"allowed\":[\"low\"]}],"
    "\"requirements\":[{\"any_of\":[\"level\"],\"operations\":[\"delete\"]}]}]}";

/* civetweb does without a look at what it gets: its start is spared. Names the linker gives.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
struct mg_context;
struct mg_init_data;
struct mg_error_data;
struct mg_context *__real_mg_start2(struct mg_init_data *init, struct mg_error_data *error);
struct mg_context *__wrap_mg_start2(struct mg_init_data *init, struct mg_error_data *error);

struct mg_context *__wrap_mg_start2(struct mg_init_data *init, struct mg_error_data *error)
{
    allocator_spare(true);
    struct mg_context *context = __real_mg_start2(init, error);
    allocator_spare(false);
    return context;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* What the others need; made while the allocator works. */
static struct kj_model *model;
static struct kj_pubsub *pubsub;
static struct kj_store *store;
static char model_path[] = "/tmp/kujata-model-XXXXXX";
static char url[64];

/* Each makes and releases everything it can and says whether all of it succeeded. */
typedef bool attempt(void);

static bool try_model_parse(void)
{
    struct kj_model *made;
    struct kj_error error;
    enum kj_status status = kj_model_parse(model_text, strlen(model_text), "test", &made, &error);
    assert_true((status == KJ_OK) == (made != NULL));
    kj_model_free(made);
    return !status;
}

static bool try_model_load(void)
{
    struct kj_model *made;
    enum kj_status status = kj_model_load(model_path, &made, NULL);
    assert_true((status == KJ_OK) == (made != NULL));
    kj_model_free(made);
    return !status;
}

static bool try_model_new(void)
{
    static const char *const states[] = {"on", "off", NULL};
    static const struct kj_attribute_spec attributes[] = {
        {.name = "name", .required = true, .pattern = "^[a-z]"},
        {.name = "state", .allowed = states, .default_json = "\"on\""},
        {.name = "numbers", .type = KJ_TYPE_LIST, .items = KJ_TYPE_INTEGER}};
    static const struct kj_identity_spec identity = {.name = "list",
                                                     .category = "lists",
                                                     .attributes = attributes,
                                                     .attribute_count = 3,
                                                     .description = "d"};
    static const struct kj_relation_spec relation = {.child = "list", .operations = KJ_OP_ALL};
    static const struct kj_model_spec spec = {1, &identity, 1, &relation, 1};
    struct kj_model *made;
    enum kj_status status = kj_model_new(&spec, &made, NULL);
    assert_true((status == KJ_OK) == (made != NULL));
    kj_model_free(made);
    return !status;
}

static bool try_filter(void)
{
    struct kj_filter *filter;
    enum kj_status status = kj_filter_parse(
        "name == \"x\" and (tags contains [\"a\", \"b\"] or name matches [\"^re\"])", &filter,
        NULL);
    assert_true((status == KJ_OK) == (filter != NULL));
    bool has_text = filter && kj_filter_text(filter);
    kj_filter_unref(filter);
    return !status && has_text;
}

static bool try_event(void)
{
    json_t *entity = json_pack("{s:s,s:s,s:s}", "ID", "1", "due", "2021-03-04T05:06:07Z", "secret",
                               "s");
    struct kj_event *event;
    enum kj_status status = kj_event_new(kj_model_identity(model, "list"), KJ_EVENT_CREATE, entity,
                                         &event);
    assert_true((status == KJ_OK) == (event != NULL));
    kj_event_unref(event);
    json_decref(entity);
    return !status;
}

static bool try_store(void)
{
    struct kj_store *made;
    enum kj_status status = kj_store_memory_new(&made);
    assert_true((status == KJ_OK) == (made != NULL));
    kj_store_free(made);
    return !status;
}

static bool try_pubsub(void)
{
    struct kj_pubsub *made;
    enum kj_status status = kj_pubsub_local_new(NULL, &made);
    assert_true((status == KJ_OK) == (made != NULL));
    kj_pubsub_free(made);
    return !status;
}

static enum kj_status make_server(struct kj_server **server)
{
    static const char *const origins[] = {"https://example.org", NULL};
    static const char *const keys[] = {"one", "two", NULL};
    const struct kj_server_options options = {.listen = "127.0.0.1:0",
                                              .model = model,
                                              .pubsub = pubsub,
                                              .shards = 1,
                                              .http_threads = 2,
                                              .health_listen = "127.0.0.1:0",
                                              .api_listen = "127.0.0.1:0",
                                              .api_keys = keys,
                                              .allowed_origins = origins};
    const struct kj_processor processor = kj_store_processor(store);
    enum kj_status status = kj_server_new(&options, server, NULL);
    assert_true((status == KJ_OK) == (*server != NULL));
    return status ? status : kj_server_register(*server, "list", &processor);
}

static bool try_server_new(void)
{
    struct kj_server *server;
    enum kj_status status = make_server(&server);
    kj_server_free(server);
    return !status;
}

static bool try_server_push(void)
{
    struct kj_server *server;
    struct kj_event *event = NULL;
    enum kj_status status = make_server(&server);
    json_t *entity = json_pack("{s:s}", "ID", "1");
    status = status ? status : kj_event_new_untyped("list", KJ_EVENT_CREATE, entity, &event);
    status = status ? status : kj_server_push(server, event);
    kj_event_unref(event);
    json_decref(entity);
    kj_server_free(server);
    return !status;
}

static bool try_server_start(void)
{
    struct kj_server *server;
    enum kj_status status = make_server(&server);
    status = status ? status : kj_server_start(server, NULL);
    kj_server_free(server);
    return !status;
}

static bool try_routes(void)
{
    struct kj_server *server;
    struct kj_push_api *api = NULL;
    enum kj_status status = make_server(&server);
    status = status ? status : kj_push_api_new(NULL, &api);
    status = status ? status : kj_push_api_add_routes(api, server, NULL);
    kj_server_free(server);
    kj_push_api_free(api);
    return !status;
}

static bool try_subscriber(void)
{
    static const char *const identities[] = {"list:create,update", NULL};
    const struct kj_subscriber_options options = {
        .url = url, .token = "t", .identities = identities};
    struct kj_subscriber *subscriber;
    struct kj_error error;
    enum kj_status status = kj_subscriber_connect(&options, &subscriber, &error);
    assert_true((status == KJ_OK) == (subscriber != NULL));
    kj_subscriber_free(subscriber);
    return !status;
}

/* One call fails, or it and all that follow. That it fails may go unnoticed: some of what is
 * made is only made to be faster. */
static void fail_each_call_in_turn(attempt *try_all, bool for_good)
{
    bool has_failed = true;
    long calls = 0;
    for (; has_failed; calls++) {
        allocator_fail_after(calls, for_good);
        bool ok = try_all();
        has_failed = allocator_recover();
        assert_true(ok || has_failed);
        assert_true(calls < CALLS_MAX);
    }
    assert_true(calls > 1);
}

static void constructors_survive_each_failed_allocation(void **state)
{
    (void)state;
    static attempt *const attempts[] = {try_model_parse,  try_model_load, try_model_new,
                                        try_filter,       try_event,      try_store,
                                        try_pubsub,       try_server_new, try_server_push,
                                        try_server_start, try_routes,     try_subscriber};
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        fail_each_call_in_turn(attempts[i], false);
        fail_each_call_in_turn(attempts[i], true);
    }
}

/* ---- a server in another process, whose allocator works ---- */

static void make_parts(void)
{
    struct kj_error error;
    assert_int_equal(kj_model_parse(model_text, strlen(model_text), "test", &model, &error), KJ_OK);
    assert_int_equal(kj_store_memory_new(&store), KJ_OK);
    assert_int_equal(kj_pubsub_local_new(NULL, &pubsub), KJ_OK);
}

static void write_model(void)
{
    int file = mkstemp(model_path);
    assert_true(file >= 0);
    assert_int_equal(write(file, model_text, strlen(model_text)), strlen(model_text));
    assert_int_equal(close(file), 0);
}

static void serve(int answer)
{
    struct kj_server *server;
    make_parts();
    if (make_server(&server) || kj_server_start(server, NULL)) {
        _exit(1);
    }
    uint16_t port = kj_server_port(server);
    if (write(answer, &port, sizeof port) != sizeof port) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

static pid_t peer;

static int set_up(void **state)
{
    (void)state;
    int ends[2];
    uint16_t port = 0;
    assert_int_equal(pipe(ends), 0);
    peer = fork();
    if (peer == 0) {
        serve(ends[1]);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], &port, sizeof port), sizeof port);
    assert_int_equal(close(ends[0]), 0);
    (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/events", port);
    make_parts();
    write_model();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    kj_pubsub_free(pubsub);
    kj_store_free(store);
    kj_model_free(model);
    return unlink(model_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructors_survive_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
