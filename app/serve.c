/* serve.c - `kujata serve`: a node made of a model file, a store and a backend. */
#include "commands.h"
#include "serve_settings.h"

#include <inttypes.h>
#include <kujata/kujata.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char command[] = "serve";

/* What a node is made of, in the order made. */
struct node {
    struct kj_model *model;
    struct kj_pubsub *pubsub;
    struct kj_store *store;
    struct kj_namespaces *namespaces; /* NULL: not asked for */
    struct security security;
    struct kj_messages *messages;       /* NULL: nothing is kept */
    struct kj_presence_board *presence; /* NULL: not wanted */
    struct profiles profiles;
    struct kj_push_api *push_api; /* NULL: nobody to push to, or nobody who may ask */
    struct kj_server *server;
};

/* ---- the parts of a node: each returns an exit status ---- */

static int make_model(struct node *node, const struct serve_settings *settings)
{
    struct kj_error error = {0};
    if (!settings->model && node->profiles.count == 0) {
        return options_fail(EXIT_USAGE, command,
                            "--model is required, or a --profile (see kujata serve --help)");
    }
    if (!settings->model) {
        return kj_model_new(NULL, &node->model, NULL)
                   ? options_fail(EXIT_FAILURE, command, "no memory for a model")
                   : 0;
    }
    return kj_model_load(settings->model, &node->model, &error)
               ? options_fail(EXIT_USAGE, command, "--model: %s", error.text)
               : 0;
}

static int make_pubsub(struct node *node, const struct serve_settings *settings)
{
    struct kj_error error = {0};
    const struct kj_pubsub_nats_options nats = {
        .urls = settings->pubsub,
        .user = settings->nats_user,
        .password = settings->nats_password,
        .credentials_file = settings->nats_credentials,
        .tls_ca = settings->nats_tls_ca,
        .tls_certificate = settings->nats_tls_cert,
        .tls_key = settings->nats_tls_key,
        .tls_name = settings->nats_tls_name,
        .publish_queue_limit = settings->nats_queue_messages,
        .publish_queue_bytes = settings->nats_queue_bytes};
    if (!settings->pubsub || strcmp(settings->pubsub, "local") == 0) {
        return kj_pubsub_local_new(NULL, &node->pubsub)
                   ? options_fail(EXIT_FAILURE, command, "no memory for the local backend")
                   : 0;
    }
    if (strncmp(settings->pubsub, "nats://", strlen("nats://")) != 0 &&
        strncmp(settings->pubsub, "tls://", strlen("tls://")) != 0) {
        return options_fail(EXIT_USAGE, command,
                            "--pubsub: \"%s\" is neither local nor nats://... nor tls://...",
                            settings->pubsub);
    }
    return kj_pubsub_nats_new(&nats, &node->pubsub, &error)
               ? options_fail(EXIT_USAGE, command, "--pubsub: %s", error.text)
               : 0;
}

static int make_accounts(struct node *node, struct serve_settings *settings)
{
    int exit_status = accounts_make(command, &settings->accounts,
                                    security_wants_more(&settings->security),
                                    &node->security.accounts);
    if (node->security.accounts) {
        counters_add(&settings->counters, kj_accounts_counters(node->security.accounts));
    }
    return exit_status;
}

static int make_store(struct node *node, struct serve_settings *settings)
{
    int exit_status = store_make(command, &settings->store, node->model, &node->store);
    counters_add(&settings->counters, store_counters(node->store));
    settings->server.counter_source = (struct kj_counter_source){counters_read,
                                                                 &settings->counters};
    return exit_status;
}

/* Of kj_native_options; an account that cannot be looked for may be there. A name that is written
 * in another way finds its account, but no client has it. */
static bool has_account(const char *user, void *ctx)
{
    struct kj_account account;
    enum kj_status status = kj_accounts_find(ctx, user, &account);
    return status ? status != KJ_ENOTFOUND : strcmp(account.name, user) == 0;
}

static int make_messages(struct node *node, struct serve_settings *settings)
{
    struct kj_native_options *native = &settings->rooms.native;
    native->is_alone = !settings->pubsub || strcmp(settings->pubsub, "local") == 0;
    if (node->security.accounts && native->is_alone && !security_wants_more(&settings->security)) {
        native->user_exists = has_account;
        native->ctx = node->security.accounts;
    }
    return messages_make(command, &settings->messages, native, &settings->counters,
                         &node->messages);
}

static int make_server(struct node *node, struct serve_settings *settings)
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
    if (!exit_status) {
        exit_status = api_read_keys(command, &settings->api, &settings->server);
    }
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
    settings->server.http.spec_public_reads = settings->security.public_reads;
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

/* What clients speak, and what nodes tell each other of them. */
static int make_profiles(struct node *node, struct serve_settings *settings)
{
    bool is_cluster = settings->pubsub && strcmp(settings->pubsub, "local") != 0;
    if (node->profiles.count == 0) {
        return EXIT_SUCCESS;
    }
    int exit_status = presence_make(command, &settings->presence, node->pubsub,
                                    settings->server.gateway_prefix, is_cluster, &node->presence);
    if (exit_status) {
        return exit_status;
    }
    if (node->presence) {
        settings->rooms.native.presence = node->presence;
        counters_add(&settings->counters,
                     (struct kj_counter_source){kj_presence_counters, node->presence});
    }
    counters_add(&settings->counters,
                 (struct kj_counter_source){profiles_read_counters, &node->profiles});
    exit_status = profiles_start(
        &node->profiles, command, settings,
        &(struct profile_parts){.server = node->server, .accounts = node->security.accounts});
    if (!exit_status && settings->server.api_listen) {
        struct kj_push_api_options options = messages_push_options(&settings->messages);
        options.messages = node->messages;
        exit_status = api_make(command, &options, node->server, &node->push_api);
    }
    return exit_status ? exit_status : presence_start(command, node->presence, node->server);
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

/* Now, so that what is lost with the backend is among the counters. */
static void close_backend(struct kj_pubsub *pubsub)
{
    struct kj_pubsub_stats before, after;
    bool is_away = kj_pubsub_is_away(pubsub);
    kj_pubsub_stats(pubsub, &before);
    kj_pubsub_close(pubsub);
    kj_pubsub_stats(pubsub, &after);
    if (is_away && after.discarded > before.discarded) {
        kj_log(KJ_LOG_WARNING, "serve",
               "publications that waited for the broker, which is away, and are lost as the node "
               "stops: %" PRIu64,
               after.discarded - before.discarded);
    }
}

/* Serves until one of the signals, which the caller has blocked, arrives. */
static int run(struct node *node, const struct serve_settings *settings, const sigset_t *signals)
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
    const char *api = settings->server.api_listen;
    if (api) {
        printf("kujata: API on %s://%.*s:%u\n", settings->server.tls_certificate ? "https" : "http",
               (int)(strrchr(api, ':') - api), api, kj_server_api_port(node->server));
    }
    profiles_print_streams(&node->profiles, node->server);
    fflush(stdout);
    int signal_number;
    while (sigwait(signals, &signal_number) == 0 && signal_number == SIGHUP) {
        /* A failure is logged where it happens; what was in force stays. */
        if (settings->server.tls_certificate) {
            (void)kj_server_reload_tls(node->server, NULL);
        }
        security_reload(&node->security, node->server);
    }
    kj_presence_stop(node->presence);
    kj_server_stop(node->server);
    close_backend(node->pubsub);
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
    struct serve_settings settings;
    struct node node = {0};
    enum options_result parsed = serve_parse(&settings, command, argc, argv);
    if (parsed) {
        return parsed == OPTIONS_HELP ? EXIT_SUCCESS : EXIT_USAGE;
    }
    /* Before any thread starts, so that none but this one takes them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    /* Where nothing is read again, SIGHUP changes nothing, unless it says that the terminal this
     * was started from is gone. */
    if (settings.server.tls_certificate || security_wants_reload(&settings.security) ||
        !isatty(STDIN_FILENO)) {
        sigaddset(&signals, SIGHUP);
    }
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    raise_descriptor_limit();
    share_heaps();

    int exit_status = profiles_choose(&node.profiles, command, &settings);
    exit_status = exit_status ? exit_status : make_model(&node, &settings);
    exit_status = exit_status ? exit_status : make_pubsub(&node, &settings);
    exit_status = exit_status ? exit_status : make_store(&node, &settings);
    exit_status = exit_status ? exit_status : make_accounts(&node, &settings);
    exit_status = exit_status ? exit_status : make_messages(&node, &settings);
    exit_status = exit_status ? exit_status : make_server(&node, &settings);
    if (!exit_status) {
        exit_status = accounts_serve(command, node.security.accounts, node.server);
    }
    exit_status = exit_status ? exit_status : make_profiles(&node, &settings);
    exit_status = exit_status ? exit_status : run(&node, &settings, &signals);
    kj_presence_stop(node.presence);
    messages_leave(&settings.messages);
    kj_server_free(node.server);
    profiles_stop(&node.profiles);
    kj_push_api_free(node.push_api);
    kj_presence_free(node.presence);
    kj_messages_free(node.messages);
    api_free_keys(&settings.api);
    kj_namespaces_free(node.namespaces);
    security_free(&node.security);
    kj_store_free(node.store);
    kj_pubsub_free(node.pubsub);
    kj_model_free(node.model);
    return exit_status;
}
