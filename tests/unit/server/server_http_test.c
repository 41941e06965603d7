/* server_http_test.c - a whole server and its HTTP policy, by the public interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <kujata/kujata.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct kj_attribute_spec attributes[] = {{.name = "title", .required = true}};
static const struct kj_identity_spec identities[] = {
    {.name = "task", .category = "tasks", .attributes = attributes, .attribute_count = 1}};
static const struct kj_relation_spec relations[] = {
    {.parent = "root", .child = "task", .operations = KJ_OP_ALL}};

struct node {
    struct kj_model *model;
    struct kj_store *store;
    struct kj_server *server;
};

static enum kj_status make(struct node *node, struct kj_server_options *options,
                           struct kj_error *error)
{
    const struct kj_model_spec spec = {
        .identities = identities, .identity_count = 1, .relations = relations, .relation_count = 1};
    *node = (struct node){0};
    assert_int_equal(kj_model_new(&spec, &node->model, NULL), KJ_OK);
    assert_int_equal(kj_store_memory_new(&node->store), KJ_OK);
    options->listen = "127.0.0.1:0";
    options->model = node->model;
    enum kj_status status = kj_server_new(options, &node->server, error);
    if (!status) {
        const struct kj_processor processor = kj_store_processor(node->store);
        assert_int_equal(kj_server_register(node->server, NULL, &processor), KJ_OK);
    }
    return status;
}

static void release(struct node *node)
{
    kj_server_free(node->server);
    kj_store_free(node->store);
    kj_model_free(node->model);
}

/* The status of the answer to a request that ends its connection. */
static int ask(uint16_t port, const char *request)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[4096] = "";
    size_t len = 0;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((got = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0) {
        len += (size_t)got;
    }
    close(fd);
    assert_int_equal(strncmp(answer, "HTTP/1.1 ", 9), 0);
    return atoi(answer + 9);
}

static int create(const struct node *node)
{
    return ask(kj_server_port(node->server),
               "POST /tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
               "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"title\":\"a\"}");
}

static void read_only_is_switched_while_the_server_runs(void **state)
{
    (void)state;
    struct node node;
    struct kj_server_options options = {.http = {.read_only = true}};
    assert_int_equal(make(&node, &options, NULL), KJ_OK);
    assert_int_equal(kj_server_start(node.server, NULL), KJ_OK);

    assert_int_equal(create(&node), 423);
    kj_server_set_read_only(node.server, false);
    assert_int_equal(create(&node), 200);
    kj_server_set_read_only(node.server, true);
    assert_int_equal(create(&node), 423);
    assert_int_equal(kj_server_counter(node.server, "http_requests_locked_total"), 2);
    release(&node);
}

static void policy_is_copied(void **state)
{
    (void)state;
    struct node node;
    char name[] = "task";
    const char *except[] = {name, NULL};
    struct kj_server_options options = {
        .http = {.read_only = true, .read_only_except = except, .service_name = name}};
    assert_int_equal(make(&node, &options, NULL), KJ_OK);
    memset(name, 'x', sizeof name - 1);
    except[0] = NULL;
    assert_int_equal(kj_server_start(node.server, NULL), KJ_OK);

    assert_int_equal(create(&node), 200);
    release(&node);
}

static void bad_policies_are_named(void **state)
{
    (void)state;
    static const char *const versions[] = {"1.0", NULL};
    static const char *const bytes[] = {"a=\xff", NULL};
    static const char *const proxies[] = {"nobody", NULL};
    const struct {
        const char *option;
        struct kj_http_policy policy;
    } cases[] = {
        {"service_versions", {.service_versions = versions}},
        {"service_versions", {.service_versions = bytes}},
        {"trusted_proxies", {.trusted_proxies = proxies}},
        {"handshake_rate", {.handshake_rate = {0, 1}}},
        {"handshake_rate_per_address", {.handshake_rate_per_address = {2000000, 1}}},
        {"root_body", {.root_content_type = "text/plain"}},
        {"root_redirect",
         {.root_content_type = "text/plain", .root_body = "", .root_redirect = "/a"}},
        {"root_redirect", {.root_redirect = "/\r\nX: y"}},
        {"root_content_type", {.root_content_type = "", .root_body = "a"}},
        {"cors_origin", {.cors_origin = "x"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node node;
        struct kj_error error = {.text = ""};
        struct kj_server_options options = {.http = cases[i].policy};
        if (make(&node, &options, &error) != KJ_EINVAL || !strstr(error.text, cases[i].option)) {
            fail_msg("case %zu: \"%s\"", i, error.text);
        }
        assert_null(node.server);
        release(&node);
    }
}

struct life {
    bool may_start;
    int starts, stops;
};

static bool on_start(struct kj_error *error, void *ctx)
{
    struct life *life = ctx;
    life->starts++;
    kj_error_set(error, 0, "not today");
    return life->may_start;
}

static void on_stop(void *ctx)
{
    ((struct life *)ctx)->stops++;
}

static void starts_and_stops_are_told(void **state)
{
    (void)state;
    struct node node;
    struct life life = {.may_start = true};
    struct kj_server_options options = {.life = {on_start, on_stop, &life}};
    assert_int_equal(make(&node, &options, NULL), KJ_OK);
    assert_int_equal(kj_server_start(node.server, NULL), KJ_OK);
    assert_int_equal(life.starts, 1);
    assert_int_equal(life.stops, 0);
    kj_server_stop(node.server);
    kj_server_stop(node.server);
    assert_int_equal(life.stops, 1);
    release(&node);
    assert_int_equal(life.stops, 1);
}

static void refused_start_ends_the_server(void **state)
{
    (void)state;
    struct node node;
    struct life life = {.may_start = false};
    struct kj_error error = {.text = ""};
    struct kj_server_options options = {.life = {on_start, on_stop, &life}};
    assert_int_equal(make(&node, &options, NULL), KJ_OK);

    assert_int_equal(kj_server_start(node.server, &error), KJ_EREFUSED);

    assert_string_equal(error.text, "not today");
    assert_int_equal(kj_server_port(node.server), 0);
    release(&node);
    assert_int_equal(life.stops, 0);
}

static bool is_healthy(struct kj_error *error, void *ctx)
{
    (void)snprintf(error->text, sizeof error->text, "the disk is full");
    return *(const bool *)ctx;
}

static void application_says_whether_it_is_healthy(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct node node;
    bool verdict = false;
    struct kj_server_options options = {.health_listen = "127.0.0.1:0",
                                        .health = {.is_healthy = is_healthy, .ctx = &verdict}};
    assert_int_equal(make(&node, &options, NULL), KJ_OK);
    assert_int_equal(kj_server_start(node.server, NULL), KJ_OK);

    assert_int_equal(ask(kj_server_health_port(node.server), request), 500);
    verdict = true;
    assert_int_equal(ask(kj_server_health_port(node.server), request), 204);
    release(&node);
}

/* ---- a stop while somebody is let in ---- */

struct door {
    struct kj_server *server;
    _Atomic uint16_t port;
    _Atomic bool is_asked;
    _Atomic bool is_open; /* nobody stops it yet */
    size_t sets;          /* of epoll, while the server runs; 0: nobody waits for its end */
};

static int try_connect(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* How many sets of epoll the process has. */
static size_t count_sets(void)
{
    size_t count = 0;
    DIR *numbers = opendir("/proc/self/fd");
    for (const struct dirent *number; (number = readdir(numbers));) {
        char path[sizeof "/proc/self/fd/" + sizeof number->d_name];
        char target[32] = "";
        (void)snprintf(path, sizeof path, "/proc/self/fd/%s", number->d_name);
        count += readlink(path, target, sizeof target - 1) > 0 && strstr(target, "[eventpoll]");
    }
    closedir(numbers);
    return count;
}

/* Lets in who asks once the server has begun to stop, or even has closed its listening socket. */
static enum kj_auth let_in_late(struct kj_session *session, struct kj_error *error, void *ctx)
{
    (void)session, (void)error;
    struct door *door = ctx;
    atomic_store(&door->is_asked, true);
    for (int fd = try_connect(door->port); fd >= 0; fd = try_connect(door->port)) {
        close(fd);
        sched_yield();
    }
    while (door->sets > 0 && count_sets() >= door->sets) {
        sched_yield();
    }
    return KJ_AUTH_ACCEPT;
}

static void *stop_when_asked(void *ctx)
{
    struct door *door = ctx;
    while (!atomic_load(&door->is_asked) || atomic_load(&door->is_open)) {
        sched_yield();
    }
    kj_server_stop(door->server);
    return NULL;
}

static const char handshake[] = "GET /events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static void start_with_door(struct node *node, struct kj_server_options *options, struct door *door,
                            pthread_t *stopper)
{
    assert_int_equal(kj_pubsub_local_new(NULL, &options->pubsub), KJ_OK);
    assert_int_equal(make(node, options, NULL), KJ_OK);
    assert_int_equal(kj_server_start(node->server, NULL), KJ_OK);
    door->server = node->server;
    door->port = kj_server_port(node->server);
    assert_int_equal(pthread_create(stopper, NULL, stop_when_asked, door), 0);
}

static int send_to(uint16_t port, const char *request)
{
    int fd = try_connect(port);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return fd;
}

static void stop_waits_for_handshakes_under_way(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n";
    static const uint8_t goodbye[] = {0x88, 0x02, 0x03, 0xe9};
    struct node node;
    struct door door = {.port = 0};
    const struct kj_session_authenticator late = {let_in_late, &door};
    struct kj_server_options options = {.session_authenticators = &late,
                                        .session_authenticator_count = 1};
    char answer[1024];
    size_t len = 0;
    ssize_t got;
    pthread_t stopper;
    start_with_door(&node, &options, &door, &stopper);

    int fd = send_to(door.port, handshake);
    while ((got = recv(fd, answer + len, sizeof answer - len, 0)) > 0) {
        len += (size_t)got;
    }

    assert_in_range(len, sizeof head + sizeof goodbye, sizeof answer);
    assert_memory_equal(answer, head, sizeof head - 1);
    assert_memory_equal(answer + len - sizeof goodbye, goodbye, sizeof goodbye);
    pthread_join(stopper, NULL);
    close(fd);
    release(&node);
    kj_pubsub_free(options.pubsub);
}

static void stop_ends_connections_that_wait_for_a_worker(void **state)
{
    (void)state;
    enum { CLIENTS = 40 };
    static const struct timeval patience = {.tv_sec = 20};
    struct node node;
    struct door door = {.is_open = true};
    const struct kj_session_authenticator late = {let_in_late, &door};
    struct kj_server_options options = {.session_authenticators = &late,
                                        .session_authenticator_count = 1,
                                        .http_threads = 1,
                                        .limits = {.drain_timeout_ms = 1}};
    char answer[1024];
    int fds[CLIENTS];
    pthread_t stopper;
    if (!KJ__OWN_CIVETWEB) {
        skip(); /* the system's leaves them to the end of the process */
    }
    start_with_door(&node, &options, &door, &stopper);
    door.sets = count_sets();

    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = send_to(door.port, handshake);
    }
    door.is_open = false;
    pthread_join(stopper, NULL);

    for (int i = 0; i < CLIENTS; i++) {
        ssize_t got;
        assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
                         0);
        while ((got = recv(fds[i], answer, sizeof answer, 0)) > 0) {
        }
        assert_true(got == 0 || errno == ECONNRESET);
        close(fds[i]);
    }
    release(&node);
    kj_pubsub_free(options.pubsub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_only_is_switched_while_the_server_runs),
        cmocka_unit_test(policy_is_copied),
        cmocka_unit_test(bad_policies_are_named),
        cmocka_unit_test(starts_and_stops_are_told),
        cmocka_unit_test(refused_start_ends_the_server),
        cmocka_unit_test(application_says_whether_it_is_healthy),
        cmocka_unit_test(stop_waits_for_handshakes_under_way),
        cmocka_unit_test(stop_ends_connections_that_wait_for_a_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
