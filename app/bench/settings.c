/* settings.c - the command line of `kujata bench`, checked and resolved. */
#include "bench/bench.h"
#include "bench/wire.h"

#include <errno.h>
#include <kujata/push_config.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { SESSIONS_DEFAULT = 100, DURATION_DEFAULT_S = 10, CONNECTING_DEFAULT = 256 };

static const char *const encodings[] = {"json", "msgpack", NULL}; /* as enum kj_encoding */

static enum options_result parse(struct bench_settings *s, int argc, char *const *argv)
{
#define NUMBER(flag, member, unit, low, high, text)                                                \
    OPTION(flag, OPTION_NUMBER, &s->member, unit, text), .minimum = (low), .maximum = (high)
    const struct option options[] = {
        {OPTION(NULL, OPTION_LIST, &s->urls, "URL",
                "ws:// or wss://HOST:PORT/PATH; several share the sessions"),
         .required = true},
        {NUMBER("--sessions", sessions, "N", 1, 10000000, "to connect; default 100")},
        {NUMBER("--processes", processes, "N", 1, BENCH_WORKERS_MAX,
                "to spread them over; default as descriptors need")},
        {NUMBER("--connecting", connecting, "N", 1, 20000,
                "handshakes under way in each process; default 256")},
        {OPTION("--encoding", OPTION_CHOICE, &s->encoding, "json|msgpack", "default json"),
         .choices = encodings},
        {OPTION("--header", OPTION_LIST, &s->headers, "NAME: VALUE",
                "of the handshake, and of each --post")},
        {OPTION("--filter", OPTION_LIST, &s->filters, "NAME[:TYPE,...]",
                "a push config; several take turns among the sessions")},
        {OPTION("--push-config", OPTION_LIST, &s->configs, "TEXT",
                "the same as it goes on the wire, or hex:...")},
        {OPTION("--silent-push-config", OPTION_LIST, &s->silent_configs, "TEXT",
                "one that lets none of the published events through")},
        {OPTION("--send", OPTION_LIST, &s->sends, "TEXT",
                "each session sends this after the handshake; text, or hex:...")},
        {OPTION("--stall", OPTION_TEXT, &s->stall, "FRACTION",
                "of the sessions never reads; default 0")},
        {OPTION("--hold", OPTION_SWITCH, &s->hold, NULL,
                "stay connected until a signal, and count what others publish")},
        {OPTION("--post", OPTION_TEXT, &s->post, "URL", "publish by POST to it")},
        {OPTION("--publish-to", OPTION_TEXT, &s->publish_url, "URL",
                "publish by messages on a websocket of its own")},
        {OPTION("--publish-send", OPTION_LIST, &s->publish_sends, "TEXT",
                "that websocket sends this first"),
         .needs = {"--publish-to"}},
        {OPTION("--body", OPTION_TEXT, &s->body, "TEXT",
                "what is published, {PAYLOAD} replaced; text, or hex:..."),
         .needs = {"--post|--publish-to"}},
        {OPTION("--content-type", OPTION_TEXT, &s->content_type, "TYPE",
                "of --post; default application/json"),
         .needs = {"--post"}},
        {OPTION("--identity", OPTION_TEXT, &s->identity, "NAME",
                "of what --post makes, for --filter; default list")},
        {OPTION("--identity-attribute", OPTION_TEXT, &s->attribute, "NAME",
                "that carries the payload; default name"),
         .needs = {"--post"}},
        {NUMBER("--payload", payload, "BYTES", BENCH_PAYLOAD_MIN, BENCH_PAYLOAD_MAX,
                "of what {PAYLOAD} stands for, 33 of them a mark; default 128"),
         .needs = {"--post|--publish-to"}},
        {NUMBER("--rate", rate, "N", 1, 1000000,
                "events a second at planned times, from which latency counts"),
         .needs = {"--post|--publish-to"}},
        {NUMBER("--window", window, "N", 1, BENCH_IN_FLIGHT_MAX / 2,
                "events under way; the default is a window of 1"),
         .needs = {"--post|--publish-to"}},
        {NUMBER("--duration", duration_s, "S", 1, 86400,
                "of the measuring, in seconds; default 10"),
         .needs = {"--post|--publish-to"}},
        {NUMBER("--warmup-ms", warmup_ms, "MS", 1, 600000, "the same load before it; default none"),
         .needs = {"--post|--publish-to"}},
        {NUMBER("--timeout-ms", timeout_ms, "MS", 1, 3600000,
                "to connect, and for an event to arrive everywhere; default 10000")},
        {NUMBER("--settle-ms", settle_ms, "MS", 1, 600000,
                "between connecting and measuring; default 300")},
        {NUMBER("--nap-us", nap_us, "US", 1, 1000000,
                "between two reads, to be woken less; default none")},
        {NUMBER("--receive-buffer", receive_buffer, "BYTES", 1024, 1 << 30,
                "of each socket; default the kernel's")},
        {OPTION("--server-pid", OPTION_LIST, &s->server_pids, "PID",
                "of the server: its CPU time and memory are read; repeatable")},
        {OPTION("--ca", OPTION_TEXT, &s->ca, "FILE", "certificates to trust; for wss://")},
        {OPTION("--insecure", OPTION_SWITCH, &s->insecure, NULL, "trust any certificate")},
        {OPTION("--json", OPTION_SWITCH, &s->json, NULL, "report as JSON")},
    };
#undef NUMBER
    return options_parse(BENCH_COMMAND, options, sizeof options / sizeof *options, argc, argv);
}

static int fail(const char *option, const char *fault)
{
    return options_fail(EXIT_USAGE, BENCH_COMMAND, "%s: %s", option, fault);
}

static void set_defaults(struct bench_settings *s)
{
    s->sessions = s->sessions ? s->sessions : SESSIONS_DEFAULT;
    s->connecting = s->connecting ? s->connecting : CONNECTING_DEFAULT;
    s->duration_s = s->duration_s ? s->duration_s : DURATION_DEFAULT_S;
    s->timeout_ms = s->timeout_ms ? s->timeout_ms : 10000;
    s->settle_ms = s->settle_ms ? s->settle_ms : 300;
    s->payload = s->payload ? s->payload : 128;
    s->window = s->window || s->rate ? s->window : 1;
    s->content_type = s->content_type ? s->content_type : "application/json";
    s->identity = s->identity ? s->identity : "list";
    s->attribute = s->attribute ? s->attribute : "name";
}

/* ---- the parts that are more than a value ---- */

static int resolve_targets(struct bench_settings *s)
{
    struct kj_error error = {0};
    s->targets = calloc(s->urls.count, sizeof *s->targets);
    if (!s->targets) {
        return fail("URL", "no memory");
    }
    for (size_t i = 0; i < s->urls.count; i++) {
        if (!wire_target_parse(s->urls.items[i], &s->targets[i], &error)) {
            return options_fail(EXIT_USAGE, BENCH_COMMAND, "%s", error.text);
        }
    }
    for (size_t i = 0; i < s->headers.count; i++) {
        if (!strchr(s->headers.items[i], ':')) {
            return options_fail(EXIT_USAGE, BENCH_COMMAND, "--header: \"%s\" is not NAME: VALUE",
                                s->headers.items[i]);
        }
    }
    if (s->rate && s->window) {
        return fail("--rate", "does not go with --window");
    }
    if (s->post && s->publish_url) {
        return fail("--post", "does not go with --publish-to");
    }
    s->publish = s->post          ? BENCH_PUBLISH_POST
                 : s->publish_url ? BENCH_PUBLISH_WEBSOCKET
                                  : BENCH_PUBLISH_NOTHING;
    const char *url = s->post ? s->post : s->publish_url;
    if (url && !wire_target_parse(url, &s->publish_target, &error)) {
        return options_fail(EXIT_USAGE, BENCH_COMMAND, "%s", error.text);
    }
    return -1;
}

static int make_template(struct bench_settings *s)
{
    char text[512];
    snprintf(text, sizeof text,
             s->publish == BENCH_PUBLISH_POST ? "{\"%.400s\": \"{PAYLOAD}\"}" : "{PAYLOAD}",
             s->attribute);
    if (!wire_message_parse(s->body ? s->body : text, &s->template)) {
        return fail("--body", "not text, and not pairs of hexadecimal digits");
    }
    if (s->publish && s->body && !strstr(s->body, "{PAYLOAD}")) {
        return fail("--body", "has no {PAYLOAD}");
    }
    return -1;
}

/* Whether NAME or NAME:TYPE,TYPE lets creations of the identity through. */
static bool filter_lets_through(const char *filter, const char *identity)
{
    size_t len = strcspn(filter, ":");
    if (strlen(identity) != len || memcmp(filter, identity, len) != 0) {
        return false;
    }
    bool wants = filter[len] == '\0';
    for (const char *type = filter + len; *type == ':' || *type == ',';) {
        size_t type_len = strcspn(++type, ",");
        wants |= type_len == strlen("create") && strncmp(type, "create", type_len) == 0;
        type += type_len;
    }
    return wants;
}

static int add_filter(struct bench_settings *s, const char *filter)
{
    struct bench_config *config = &s->session_configs[s->session_config_count];
    const char *const identities[] = {filter, NULL};
    if (kj_push_config_encode(identities, (enum kj_encoding)s->encoding,
                              &config->message.bytes.data, &config->message.bytes.len)) {
        return fail("--filter", "not NAME or NAME:TYPE,TYPE");
    }
    config->message.is_binary = s->encoding == KJ_ENCODING_MSGPACK;
    config->is_expected = filter_lets_through(filter, s->identity);
    s->session_config_count++;
    return -1;
}

static int add_configs(struct bench_settings *s, const struct text_list *list, bool is_expected)
{
    for (size_t i = 0; i < list->count; i++) {
        struct bench_config *config = &s->session_configs[s->session_config_count++];
        config->is_expected = is_expected;
        if (!wire_message_parse(list->items[i], &config->message)) {
            return fail("--push-config", "not text, and not pairs of hexadecimal digits");
        }
    }
    return -1;
}

static int make_configs(struct bench_settings *s)
{
    size_t count = s->filters.count + s->configs.count + s->silent_configs.count;
    s->session_configs = calloc(count + 1, sizeof *s->session_configs);
    if (!s->session_configs) {
        return fail("--filter", "no memory");
    }
    int exit_status = -1;
    for (size_t i = 0; i < s->filters.count && exit_status < 0; i++) {
        exit_status = add_filter(s, s->filters.items[i]);
    }
    exit_status = exit_status < 0 ? add_configs(s, &s->configs, true) : exit_status;
    return exit_status < 0 ? add_configs(s, &s->silent_configs, false) : exit_status;
}

static int make_sends(const struct text_list *list, struct bench_message **messages)
{
    *messages = calloc(list->count + 1, sizeof **messages);
    for (size_t i = 0; *messages && i < list->count; i++) {
        if (!wire_message_parse(list->items[i], &(*messages)[i])) {
            return fail("--send", "not text, and not pairs of hexadecimal digits");
        }
    }
    return *messages ? -1 : fail("--send", "no memory");
}

static int read_numbers(struct bench_settings *s)
{
    char *end = NULL;
    s->stall_share = s->stall ? strtod(s->stall, &end) : 0;
    if (s->stall && (*end || s->stall_share < 0 || s->stall_share > 1)) {
        return fail("--stall", "not a number from 0 to 1");
    }
    for (size_t i = 0; i < s->server_pids.count; i++) {
        long pid = strtol(s->server_pids.items[i], &end, 10);
        if (*end || pid < 1 || pid > INT32_MAX) {
            return fail("--server-pid", "not a process");
        }
        s->pids[i] = (pid_t)pid;
        if (kill(s->pids[i], 0) && errno == ESRCH) {
            return options_fail(EXIT_USAGE, BENCH_COMMAND, "--server-pid: there is no process %ld",
                                pid);
        }
    }
    return -1;
}

int bench_settings_parse(struct bench_settings *settings, int argc, char *const *argv)
{
    enum options_result parsed = parse(settings, argc, argv);
    if (parsed) {
        return parsed == OPTIONS_HELP ? EXIT_SUCCESS : EXIT_USAGE;
    }
    set_defaults(settings);
    /* Not the process's id: containers have the same ones. */
    if (getrandom(&settings->run, sizeof settings->run, 0) != sizeof settings->run) {
        settings->run = (uint16_t)getpid();
    }
    int exit_status = resolve_targets(settings);
    exit_status = exit_status < 0 ? make_template(settings) : exit_status;
    exit_status = exit_status < 0 ? make_configs(settings) : exit_status;
    exit_status = exit_status < 0 ? make_sends(&settings->sends, &settings->session_sends)
                                  : exit_status;
    exit_status = exit_status < 0 ? make_sends(&settings->publish_sends, &settings->publisher_sends)
                                  : exit_status;
    return exit_status < 0 ? read_numbers(settings) : exit_status;
}

static void free_messages(struct bench_message *messages, size_t count)
{
    for (size_t i = 0; messages && i < count; i++) {
        free(messages[i].bytes.data);
    }
    free(messages);
}

void bench_settings_free(struct bench_settings *settings)
{
    for (size_t i = 0; i < settings->session_config_count; i++) {
        free(settings->session_configs[i].message.bytes.data);
    }
    free(settings->session_configs);
    free_messages(settings->session_sends, settings->sends.count);
    free_messages(settings->publisher_sends, settings->publish_sends.count);
    free(settings->template.bytes.data);
    free(settings->targets);
}
