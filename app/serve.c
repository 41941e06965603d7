/* serve.c - `kujata serve`: a node made of a model file, a store and a backend. */
#include "commands.h"
#include "options.h"
#include "serve_http.h"
#include "serve_security.h"
#include "serve_store.h"

#include <inttypes.h>
#include <kujata/kujata.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char command[] = "serve";

/* What the command line says. */
struct settings {
    const char *model;
    struct store_settings store;
    const char *pubsub;
    const char *nats_user, *nats_password, *nats_credentials;
    uint32_t nats_queue_messages, nats_queue_bytes;
    int queue_policy;
    int io;
    int client_certificate; /* of client_certificate_names; -1: the default */
    struct text_list origins;
    bool print_counters;
    bool namespaces;
    struct security_settings security;
    struct http_settings http;
    struct kj_server_options server;
};

/* What a node is made of, in the order made. */
struct node {
    struct kj_model *model;
    struct kj_pubsub *pubsub;
    struct kj_store *store;
    struct kj_namespaces *namespaces; /* NULL: not asked for */
    struct security security;
    struct kj_server *server;
};

static const char *const policy_names[] = {
    [KJ_QUEUE_DROP_NEWEST] = "drop-newest",
    [KJ_QUEUE_DROP_OLDEST] = "drop-oldest",
    [KJ_QUEUE_DISCONNECT] = "disconnect",
    NULL,
};

static const char *const io_names[] = {
    [KJ_IO_AUTO] = "auto",
    [KJ_IO_EPOLL] = "epoll",
    [KJ_IO_URING] = "uring",
    NULL,
};

static const char *const client_certificate_names[] = {
    [KJ_CLIENT_CERTIFICATE_NONE - 1] = "none",
    [KJ_CLIENT_CERTIFICATE_OPTIONAL - 1] = "optional",
    [KJ_CLIENT_CERTIFICATE_REQUIRED - 1] = "required",
    NULL,
};

enum { SHARDS_MAX = 256, HTTP_THREADS_MAX = 1024, RENEWAL_THREADS_MAX = 256 };

/* ---- the command line; groups that belong together have a function each ---- */

enum { GROUPS_MAX = 32 /* options in all groups */ };

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LIMIT(flag, member, unit, text)                                                            \
    OPTION("--limit-" flag, OPTION_NUMBER, &limits->member, unit, text), .minimum = 1,             \
                                                                         .maximum = UINT32_MAX

static size_t add_tls_options(struct settings *settings, struct option *to)
{
    struct kj_server_options *server = &settings->server;
    const struct option options[] = {
        {OPTION("--tls-cert", OPTION_TEXT, &server->tls_certificate, "FILE",
                "speak TLS with this certificate, its chain behind it (PEM)")},
        {OPTION("--tls-key", OPTION_TEXT, &server->tls_key, "FILE",
                "its key (PEM); default: in the same file")},
        {OPTION("--tls-client-ca", OPTION_TEXT, &server->tls_client_ca, "FILE",
                "who may sign clients' certificates (PEM)")},
        {OPTION("--tls-client-cert", OPTION_CHOICE, &settings->client_certificate,
                "none|optional|required", "default required with --tls-client-ca, else none"),
         .choices = client_certificate_names},
    };
    memcpy(to, options, sizeof options);
    return COUNT(options);
}

/* What becomes of writes that come again with their key. */
static size_t add_write_options(struct settings *settings, struct option *to)
{
    struct kj_limits *limits = &settings->server.limits;
    const struct option options[] = {
        {OPTION("--ignore-idempotency-keys", OPTION_SWITCH,
                &settings->server.ignore_idempotency_keys, NULL,
                "a write that comes again with its key is another write")},
        {LIMIT("idempotency-answers", idempotency_answers, "N",
               "kept for writes that come again; default 10000")},
        {LIMIT("idempotency-bytes", idempotency_bytes, "BYTES", "the same; default 16777216")},
        {LIMIT("idempotency-age-ms", idempotency_age_ms, "MS", "the same; default 600000")},
        {LIMIT("idempotency-wait-ms", idempotency_wait_ms, "MS",
               "for an equal write that still runs; default 2000")},
    };
    memcpy(to, options, sizeof options);
    return COUNT(options);
}

/* When a session is over. */
static size_t add_session_options(struct settings *settings, struct option *to)
{
    struct kj_limits *limits = &settings->server.limits;
    const struct option options[] = {
        {LIMIT("ping-interval-ms", ping_interval_ms, "MS", "default 15000")},
        {LIMIT("pong-timeout-ms", pong_timeout_ms, "MS", "since the last pong; default 30000")},
        {LIMIT("write-stall-ms", write_stall_ms, "MS", "without a byte leaving; default 10000")},
        {LIMIT("close-timeout-ms", close_timeout_ms, "MS", "for the peer's close; default 2000")},
        {LIMIT("bad-config-wait-ms", bad_config_wait_ms, "MS",
               "before an address's next bad push config ends its session; default 1000")},
        {LIMIT("bad-config-wait-max-ms", bad_config_wait_max_ms, "MS",
               "it doubles each time, up to this; default 10000")},
    };
    memcpy(to, options, sizeof options);
    return COUNT(options);
}

/* What gateways hear; see docs/gateway.md. */
static size_t add_announce_options(struct settings *settings, struct option *to)
{
    struct kj_announce_options *announce = &settings->server.announce;
    const struct option options[] = {
        {OPTION("--announce-topic", OPTION_TEXT, &announce->topic, "NAME",
                "where gateways hear of this node; default: not told")},
        {OPTION("--announce-name", OPTION_TEXT, &announce->name, "NAME",
                "of the service; default --service-name")},
        {OPTION("--announce-endpoint", OPTION_TEXT, &announce->endpoint, "HOST:PORT",
                "where gateways reach this node")},
        {OPTION("--announce-prefix", OPTION_TEXT, &announce->prefix, "NAME",
                "of the service in a gateway's URLs; default none")},
        {OPTION("--announce-interval-ms", OPTION_NUMBER, &announce->interval_ms, "MS",
                "between two hellos; default 5000"),
         .minimum = 1, .maximum = UINT32_MAX},
        {OPTION("--announce-goodbye-timeout-ms", OPTION_NUMBER, &announce->goodbye_timeout_ms, "MS",
                "for a gateway's acknowledgement; default 10000"),
         .minimum = 1, .maximum = UINT32_MAX},
    };
    memcpy(to, options, sizeof options);
    return COUNT(options);
}

static enum options_result parse(struct settings *settings, int argc, char *const *argv)
{
    struct kj_server_options *server = &settings->server;
    struct kj_limits *limits = &server->limits;
    const struct option options[] = {
        {OPTION("--model", OPTION_TEXT, &settings->model, "FILE", "the resources to offer"),
         .required = true},
        {OPTION("--listen", OPTION_ADDRESS, &server->listen, "ADDR:PORT",
                "default 127.0.0.1:8080; port 0 picks a free one")},
        {OPTION("--health", OPTION_ADDRESS, &server->health_listen, "ADDR:PORT",
                "where /, /ready and /metrics are served; default: nowhere")},
        {OPTION("--pubsub", OPTION_TEXT, &settings->pubsub, "local|nats://HOST:PORT[,...]",
                "what carries events between nodes; default local")},
        {OPTION("--nats-user", OPTION_TEXT, &settings->nats_user, "NAME", "for the broker")},
        {OPTION("--nats-password", OPTION_TEXT, &settings->nats_password, "TEXT",
                "for the broker")},
        {OPTION("--nats-credentials", OPTION_TEXT, &settings->nats_credentials, "FILE",
                "a .creds file for the broker")},
        {OPTION("--nats-queue-messages", OPTION_NUMBER, &settings->nats_queue_messages, "N",
                "publications waiting for the broker; default 65536"),
         .minimum = 1, .maximum = UINT32_MAX},
        {OPTION("--nats-queue-bytes", OPTION_NUMBER, &settings->nats_queue_bytes, "BYTES",
                "the same; default 268435456"),
         .minimum = 1, .maximum = UINT32_MAX},
        {OPTION("--topic", OPTION_TEXT, &server->topic, "NAME", "of events; default events")},
        {OPTION("--subject-hierarchies", OPTION_SWITCH, &server->subject_hierarchies, NULL,
                "events travel on NAME.IDENTITY.TYPE")},
        {OPTION("--push-endpoint", OPTION_TEXT, &server->push_endpoint, "PATH", "default /events")},
        {OPTION("--shards", OPTION_NUMBER, &server->shards, "N",
                "delivery threads; default one per core it may use"),
         .minimum = 1, .maximum = SHARDS_MAX},
        {OPTION("--io", OPTION_CHOICE, &settings->io, "auto|epoll|uring",
                "how events reach the sockets; default auto: io_uring where it can be had"),
         .choices = io_names},
        {OPTION("--http-threads", OPTION_NUMBER, &server->http_threads, "N",
                "REST workers; default 32"),
         .minimum = 1, .maximum = HTTP_THREADS_MAX},
        {OPTION("--renewal-threads", OPTION_NUMBER, &server->renewal_threads, "N",
                "that look at sessions' new tokens; default 4"),
         .minimum = 1, .maximum = RENEWAL_THREADS_MAX},
        {OPTION("--queue-policy", OPTION_CHOICE, &settings->queue_policy,
                "drop-newest|drop-oldest|disconnect",
                "when a session's queue is full; default drop-newest"),
         .choices = policy_names},
        {OPTION("--namespaces", OPTION_SWITCH, &settings->namespaces, NULL,
                "sessions hear of objects of their namespace; see push.md")},
        {OPTION("--allow-origin", OPTION_LIST, &settings->origins, "URL",
                "an origin browsers may connect from, or *; repeatable")},
        {OPTION("--print-counters", OPTION_SWITCH, &settings->print_counters, NULL,
                "print every counter at the end")},
        {LIMIT("body-bytes", body_bytes, "BYTES", "of a request; default 1048576")},
        {LIMIT("message-bytes", message_bytes, "BYTES", "of a websocket message; default 65536")},
        {LIMIT("message-fragments", message_fragments, "N", "of one message; default 1024")},
        {LIMIT("session-queue-bytes", session_queue_bytes, "BYTES",
               "waiting for one session; default 1048576")},
        {LIMIT("session-queue-messages", session_queue_messages, "N", "the same; default 4096")},
        {LIMIT("sessions", sessions, "N", "in all; default 100000")},
        {LIMIT("sessions-per-address", sessions_per_address, "N", "default: no limit")},
        {LIMIT("handshakes", handshakes, "N",
               "connections without a whole request; default: by descriptors")},
        {LIMIT("handshakes-per-address", handshakes_per_address, "N", "the same; default 16384")},
        {LIMIT("head-timeout-ms", head_timeout_ms, "MS", "for a request's head; default 5000")},
        {LIMIT("keep-alive-ms", keep_alive_ms, "MS", "for the next request; default 2000")},
        {LIMIT("exchange-timeout-ms", exchange_timeout_ms, "MS",
               "for a body to arrive, and for an answer to leave; default 30000")},
        {LIMIT("drain-timeout-ms", drain_timeout_ms, "MS", "for queued events; default 5000")},
        {LIMIT("page-objects", page_objects, "N", "of one list; default 10000")},
        {OPTION("--strict-flags", OPTION_SWITCH, &server->strict_flags, NULL,
                "recursive=false and the like mean false")},
    };
    struct option
        all[COUNT(options) + GROUPS_MAX + SECURITY_OPTIONS_MAX + HTTP_OPTIONS_MAX + STORE_OPTIONS];
    memcpy(all, options, sizeof options);
    size_t count = COUNT(options) + add_tls_options(settings, all + COUNT(options));
    count += add_write_options(settings, all + count);
    count += add_session_options(settings, all + count);
    count += http_add_options(&settings->http, all + count);
    count += security_add_options(&settings->security, all + count);
    count += add_announce_options(settings, all + count);
    count += store_add_options(&settings->store, all + count);
    return options_parse(command, all, count, argc, argv);
}

#undef LIMIT

/* ---- the parts of a node: each returns an exit status ---- */

static int make_model(struct node *node, const struct settings *settings)
{
    struct kj_error error = {0};
    return kj_model_load(settings->model, &node->model, &error)
               ? options_fail(EXIT_USAGE, command, "--model: %s", error.text)
               : 0;
}

static int make_pubsub(struct node *node, const struct settings *settings)
{
    struct kj_error error = {0};
    const struct kj_pubsub_nats_options nats = {
        .urls = settings->pubsub,
        .user = settings->nats_user,
        .password = settings->nats_password,
        .credentials_file = settings->nats_credentials,
        .publish_queue_limit = settings->nats_queue_messages,
        .publish_queue_bytes = settings->nats_queue_bytes};
    if (!settings->pubsub || strcmp(settings->pubsub, "local") == 0) {
        return kj_pubsub_local_new(NULL, &node->pubsub)
                   ? options_fail(EXIT_FAILURE, command, "no memory for the local backend")
                   : 0;
    }
    if (strncmp(settings->pubsub, "nats://", strlen("nats://")) != 0) {
        return options_fail(EXIT_USAGE, command, "--pubsub: \"%s\" is neither local nor nats://...",
                            settings->pubsub);
    }
    return kj_pubsub_nats_new(&nats, &node->pubsub, &error)
               ? options_fail(EXIT_USAGE, command, "--pubsub: %s", error.text)
               : 0;
}

static int make_store(struct node *node, struct settings *settings)
{
    int exit_status = store_make(command, &settings->store, node->model, &node->store);
    settings->server.counter_source = store_counters(node->store);
    return exit_status;
}

static int make_server(struct node *node, struct settings *settings)
{
    struct kj_error error = {0};
    struct kj_processor processor = kj_store_processor(node->store);
    settings->server.model = node->model;
    settings->server.pubsub = node->pubsub;
    settings->server.io = (enum kj_io)settings->io;
    settings->server.queue_policy = (enum kj_queue_policy)settings->queue_policy;
    settings->server.tls_client_certificate = (enum kj_client_certificate)(
        settings->client_certificate + 1);
    settings->server.allowed_origins = settings->origins.items;
    int exit_status = security_make(&node->security, &settings->security, &settings->server);
    if (exit_status) {
        return exit_status;
    }
    if (settings->namespaces) {
        const struct kj_namespaces_options options = security_namespaces(&node->security);
        if (kj_namespaces_new(&options, &node->namespaces)) {
            return options_fail(EXIT_FAILURE, command, "no memory for the namespaces");
        }
        settings->server.dispatch = kj_namespaces_handler(node->namespaces);
    }
    struct http_parts http = {0};
    exit_status = http_make(&http, &settings->http, &settings->server.http);
    if (exit_status) {
        http_free(&http);
        return exit_status;
    }
    enum kj_status status = kj_server_new(&settings->server, &node->server, &error);
    http_free(&http);
    if (!status) {
        status = kj_server_register(node->server, NULL, &processor);
    }
    if (status) {
        return options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command, "%s",
                            *error.text ? error.text : kj_status_text(status));
    }
    return 0;
}

/* ---- running it ---- */

static void print_counter(const char *name, uint64_t value, void *ctx)
{
    (void)ctx;
    printf("%s %" PRIu64 "\n", name, value);
}

/* Every session takes a descriptor, and shells start programs with a low soft limit. An
 * unlimited hard limit still ends at the kernel's. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    unsigned long kernels = 0;
    FILE *file = fopen("/proc/sys/fs/nr_open", "re");
    if (file) {
        if (fscanf(file, "%lu", &kernels) != 1) {
            kernels = 0;
        }
        fclose(file);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    bool is_beyond = kernels && limit.rlim_max > kernels;
    limit.rlim_cur = is_beyond ? kernels : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Serves until one of the signals, which the caller has blocked, arrives. */
static int run(struct node *node, const struct settings *settings, const sigset_t *signals)
{
    struct kj_error error = {0};
    enum kj_status status = kj_server_start(node->server, &error);
    if (status) {
        return options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command, "%s",
                            error.text);
    }
    const char *listen = settings->server.listen ? settings->server.listen : "127.0.0.1:8080";
    printf("kujata: listening on %s://%.*s:%u\n",
           settings->server.tls_certificate ? "https" : "http",
           (int)(strrchr(listen, ':') - listen), listen, kj_server_port(node->server));
    const char *health = settings->server.health_listen;
    if (health) {
        printf("kujata: health on http://%.*s:%u\n", (int)(strrchr(health, ':') - health), health,
               kj_server_health_port(node->server));
    }
    fflush(stdout);
    int signal_number;
    while (sigwait(signals, &signal_number) == 0 && signal_number == SIGHUP) {
        /* A failure is logged where it happens; what was in force stays. */
        if (settings->server.tls_certificate) {
            (void)kj_server_reload_tls(node->server, NULL);
        }
        security_reload(&node->security, node->server);
    }
    kj_server_stop(node->server);
    if (settings->print_counters) {
        kj_server_counters(node->server, print_counter, NULL);
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}

/* The C library gives almost every thread a heap of its own, and what one has grown for large
 * answers no other uses: dozens of workers would hold many times what any of them needs. */
static void share_heaps(void)
{
    if (!getenv("MALLOC_ARENA_MAX")) {
        mallopt(M_ARENA_MAX, 2);
    }
}

int command_serve(int argc, char *const *argv)
{
    struct settings settings = {.client_certificate = -1};
    struct node node = {0};
    enum options_result parsed = parse(&settings, argc, argv);
    if (parsed) {
        return parsed == OPTIONS_HELP ? EXIT_SUCCESS : EXIT_USAGE;
    }
    /* Before any thread starts, so that none but this one takes them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (settings.server.tls_certificate || security_wants_reload(&settings.security)) {
        sigaddset(&signals, SIGHUP);
    }
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    raise_descriptor_limit();
    share_heaps();

    int exit_status = make_model(&node, &settings);
    exit_status = exit_status ? exit_status : make_pubsub(&node, &settings);
    exit_status = exit_status ? exit_status : make_store(&node, &settings);
    exit_status = exit_status ? exit_status : make_server(&node, &settings);
    exit_status = exit_status ? exit_status : run(&node, &settings, &signals);
    kj_server_free(node.server);
    kj_namespaces_free(node.namespaces);
    security_free(&node.security);
    kj_store_free(node.store);
    kj_pubsub_free(node.pubsub);
    kj_model_free(node.model);
    return exit_status;
}
