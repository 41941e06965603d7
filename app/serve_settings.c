/* serve_settings.c - see serve_settings.h. */
#include "serve_settings.h"

#include "serve_needs.h"

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
enum { RESUME_EVENTS_DEFAULT = 1024, RESUME_EVENTS_MAX = 1 << 24 };

#define LIMIT(flag, member, unit, text)                                                            \
    OPTION("--limit-" flag, OPTION_NUMBER, &limits->member, unit, text), .minimum = 1,             \
                                                                         .maximum = UINT32_MAX

static void add_node(struct serve_settings *settings, struct option_table *table)
{
    struct kj_server_options *server = &settings->server;
    const struct option rows[] = {
        {OPTION("--model", OPTION_TEXT, &settings->model, "FILE",
                "the resources to offer; may be left out with --profile")},
        {OPTION("--listen", OPTION_ADDRESS, &server->listen, "ADDR:PORT",
                "default 127.0.0.1:8080; port 0 picks a free one")},
        {OPTION("--listen-unix", OPTION_TEXT, &server->listen_unix, "PATH",
                "a socket in the file system to listen at besides; default: none")},
        {OPTION("--health", OPTION_ADDRESS, &server->health_listen, "ADDR:PORT",
                "where /, /ready and /metrics are served; default: nowhere")},
        {OPTION("--allow-origin", OPTION_LIST, &settings->origins, "URL",
                "an origin browsers may connect from, or *; repeatable")},
        {OPTION("--http-threads", OPTION_NUMBER, &server->http_threads, "N",
                "REST workers; default 32"),
         .minimum = 1, .maximum = HTTP_THREADS_MAX},
        {OPTION("--strict-flags", OPTION_SWITCH, &server->strict_flags, NULL,
                "recursive=false and the like mean false")},
        {OPTION("--print-counters", OPTION_SWITCH, &settings->print_counters, NULL,
                "print every counter at the end")},
    };
    OPTIONS_ADD(table, "the node", rows);
}

static void add_backend(struct serve_settings *settings, struct option_table *table)
{
    struct kj_server_options *server = &settings->server;
    const struct option rows[] = {
        {OPTION("--pubsub", OPTION_TEXT, &settings->pubsub, "local|nats://HOST:PORT[,...]",
                "what carries events between nodes, tls:// for TLS; default local")},
        {OPTION("--nats-user", OPTION_TEXT, &settings->nats_user, "NAME", "for the broker"),
         .needs = {WITH_BROKER}},
        {OPTION("--nats-password", OPTION_TEXT, &settings->nats_password, "TEXT", "for the broker"),
         .needs = {WITH_BROKER, "--nats-user"}},
        {OPTION("--nats-credentials", OPTION_TEXT, &settings->nats_credentials, "FILE",
                "a .creds file for the broker"),
         .needs = {WITH_BROKER}},
        {OPTION("--nats-tls-ca", OPTION_TEXT, &settings->nats_tls_ca, "FILE",
                "whom to trust about the broker, as PEM; default whom the system trusts"),
         .needs = {WITH_BROKER}},
        {OPTION("--nats-tls-cert", OPTION_TEXT, &settings->nats_tls_cert, "FILE",
                "what to show a broker that asks for a certificate"),
         .needs = {WITH_BROKER}},
        {OPTION("--nats-tls-key", OPTION_TEXT, &settings->nats_tls_key, "FILE",
                "its key; default in the same file"),
         .needs = {WITH_BROKER, "--nats-tls-cert"}},
        {OPTION("--nats-tls-name", OPTION_TEXT, &settings->nats_tls_name, "HOST",
                "whom the broker's certificate must be for; default the one host of --pubsub"),
         .needs = {WITH_BROKER}},
        {OPTION("--nats-queue-messages", OPTION_NUMBER, &settings->nats_queue_messages, "N",
                "publications waiting for the broker; default 65536"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {WITH_BROKER}},
        {OPTION("--nats-queue-bytes", OPTION_NUMBER, &settings->nats_queue_bytes, "BYTES",
                "the same; default 268435456"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {WITH_BROKER}},
        {OPTION("--topic", OPTION_TEXT, &server->topic, "NAME", "of events; default events")},
        {OPTION("--subject-hierarchies", OPTION_SWITCH, &server->subject_hierarchies, NULL,
                "events travel on NAME.IDENTITY.TYPE")},
    };
    OPTIONS_ADD(table, "what carries events", rows);
}

static void add_push(struct serve_settings *settings, struct option_table *table)
{
    struct kj_server_options *server = &settings->server;
    const struct option rows[] = {
        {OPTION("--push-endpoint", OPTION_TEXT, &server->push_endpoint, "PATH", "default /events")},
        {OPTION("--shards", OPTION_NUMBER, &server->shards, "N",
                "delivery threads; default one per core it may use"),
         .minimum = 1, .maximum = SHARDS_MAX},
        {OPTION("--io", OPTION_CHOICE, &settings->io, "auto|epoll|uring",
                "how events reach the sockets; default auto: io_uring where it can be had"),
         .choices = io_names},
        {OPTION("--renewal-threads", OPTION_NUMBER, &server->renewal_threads, "N",
                "that look at sessions' new tokens; default 4"),
         .minimum = 1, .maximum = RENEWAL_THREADS_MAX},
        {OPTION("--queue-policy", OPTION_CHOICE, &settings->queue_policy,
                "drop-newest|drop-oldest|disconnect",
                "when a session's queue is full; default drop-newest"),
         .choices = policy_names},
        {OPTION("--resume-events", OPTION_NUMBER, &settings->resume_events, "N",
                "kept on each shard for sessions that come back; default 1024; 0: none"),
         .minimum = 0, .maximum = RESUME_EVENTS_MAX},
        {OPTION("--resume-bytes", OPTION_NUMBER, &server->limits.resume_bytes, "BYTES",
                "the same; default 4194304"),
         .minimum = 1, .maximum = UINT32_MAX, .not_with = "--resume-events 0"},
        {OPTION("--namespaces", OPTION_SWITCH, &settings->namespaces, NULL,
                "sessions hear of objects of their namespace; see push.md")},
    };
    OPTIONS_ADD(table, "sessions", rows);
}

static void add_tls(struct serve_settings *settings, struct option_table *table)
{
    struct kj_server_options *server = &settings->server;
    const struct option rows[] = {
        {OPTION("--tls-cert", OPTION_TEXT, &server->tls_certificate, "FILE",
                "speak TLS with this certificate, its chain behind it (PEM)")},
        {OPTION("--tls-key", OPTION_TEXT, &server->tls_key, "FILE",
                "its key (PEM); default: in the same file"),
         .needs = {"--tls-cert"}},
        {OPTION("--tls-client-ca", OPTION_TEXT, &server->tls_client_ca, "FILE",
                "who may sign clients' certificates (PEM)"),
         .needs = {"--tls-cert"}},
        {OPTION("--tls-client-cert", OPTION_CHOICE, &settings->client_certificate,
                "none|optional|required", "default required with --tls-client-ca, else none"),
         .choices = client_certificate_names, .needs = {"--tls-client-ca"}},
    };
    OPTIONS_ADD(table, "TLS", rows);
}

/* What becomes of writes that come again with their key. */
static void add_writes(struct serve_settings *settings, struct option_table *table)
{
    struct kj_limits *limits = &settings->server.limits;
    const struct option rows[] = {
        {OPTION("--ignore-idempotency-keys", OPTION_SWITCH,
                &settings->server.ignore_idempotency_keys, NULL,
                "a write that comes again with its key is another write")},
        {LIMIT("idempotency-answers", idempotency_answers, "N",
               "kept for writes that come again; default 10000"),
         .not_with = "--ignore-idempotency-keys"},
        {LIMIT("idempotency-bytes", idempotency_bytes, "BYTES", "the same; default 16777216"),
         .not_with = "--ignore-idempotency-keys"},
        {LIMIT("idempotency-age-ms", idempotency_age_ms, "MS", "the same; default 600000"),
         .not_with = "--ignore-idempotency-keys"},
        {LIMIT("idempotency-wait-ms", idempotency_wait_ms, "MS",
               "for an equal write that still runs; default 2000"),
         .not_with = "--ignore-idempotency-keys"},
    };
    OPTIONS_ADD(table, "writes that come again", rows);
}

/* What gateways hear; see docs/gateway.md. */
static void add_announce(struct serve_settings *settings, struct option_table *table)
{
    struct kj_announce_options *announce = &settings->server.announce;
    const struct option rows[] = {
        {OPTION("--announce-topic", OPTION_TEXT, &announce->topic, "NAME",
                "where gateways hear of this node; default: not told")},
        {OPTION("--announce-name", OPTION_TEXT, &announce->name, "NAME",
                "of the service; default --service-name"),
         .needs = {"--announce-topic"}},
        {OPTION("--announce-endpoint", OPTION_TEXT, &announce->endpoint, "HOST:PORT",
                "where gateways reach this node"),
         .needs = {"--announce-topic"}},
        {OPTION("--announce-prefix", OPTION_TEXT, &announce->prefix, "NAME",
                "of the service in a gateway's URLs; default none"),
         .needs = {"--announce-topic"}},
        {OPTION("--announce-interval-ms", OPTION_NUMBER, &announce->interval_ms, "MS",
                "between two hellos; default 5000"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {"--announce-topic"}},
        {OPTION("--announce-goodbye-timeout-ms", OPTION_NUMBER, &announce->goodbye_timeout_ms, "MS",
                "for a gateway's acknowledgement; default 10000"),
         .minimum = 1, .maximum = UINT32_MAX, .needs = {"--announce-topic"}},
    };
    OPTIONS_ADD(table, "gateways", rows);
}

static void add_limits(struct serve_settings *settings, struct option_table *table)
{
    struct kj_limits *limits = &settings->server.limits;
    const struct option rows[] = {
        {LIMIT("body-bytes", body_bytes, "BYTES", "of a request; default 1048576")},
        {LIMIT("page-objects", page_objects, "N", "of one list; default 10000")},
        {LIMIT("page-bytes", page_bytes, "BYTES", "of their JSON text; default 16777216")},
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
    };
    OPTIONS_ADD(table, "limits", rows);
}

/* When a session is over. */
static void add_session_limits(struct serve_settings *settings, struct option_table *table)
{
    struct kj_limits *limits = &settings->server.limits;
    const struct option rows[] = {
        {LIMIT("ping-interval-ms", ping_interval_ms, "MS", "default 15000")},
        {LIMIT("pong-timeout-ms", pong_timeout_ms, "MS", "since the last pong; default 30000")},
        {LIMIT("write-stall-ms", write_stall_ms, "MS", "without a byte leaving; default 10000")},
        {LIMIT("close-timeout-ms", close_timeout_ms, "MS", "for the peer's close; default 2000")},
        {LIMIT("bad-config-wait-ms", bad_config_wait_ms, "MS",
               "before an address's next bad push config ends its session; default 1000")},
        {LIMIT("bad-config-wait-max-ms", bad_config_wait_max_ms, "MS",
               "it doubles each time, up to this; default 10000")},
    };
    OPTIONS_ADD(table, "limits of sessions", rows);
}

#undef LIMIT

enum options_result serve_parse(struct serve_settings *settings, const char *command, int argc,
                                char *const *argv)
{
    struct option_table table = {.count = 0};
    *settings = (struct serve_settings){.client_certificate = -1,
                                        .resume_events = RESUME_EVENTS_DEFAULT};
    add_node(settings, &table);
    store_add_options(&settings->store, &table);
    add_backend(settings, &table);
    add_push(settings, &table);
    add_tls(settings, &table);
    security_add_options(&settings->security, &table);
    accounts_add_options(&settings->accounts, &table);
    http_add_options(&settings->http, &table);
    rooms_add_options(&settings->rooms, &settings->server, &table);
    messages_add_options(&settings->messages, &settings->rooms.native, &table);
    presence_add_options(&settings->presence, &table);
    upstream_add_options(&settings->upstream, &table);
    profiles_add_options(&settings->profiles, &table);
    api_add_options(&settings->api, &settings->server, &table);
    add_writes(settings, &table);
    add_announce(settings, &table);
    add_limits(settings, &table);
    add_session_limits(settings, &table);
    enum options_result result = options_parse(command, table.rows, table.count, argc, argv);
    settings->server.limits.resume_events = settings->resume_events;
    settings->server.no_resume = settings->resume_events == 0;
    return result;
}
