/* sub.c - `kujata sub`: prints each event of a server as one line of JSON. With --resume it
 * connects again where the connection breaks, and goes on where it was. */
#include "commands.h"
#include "options.h"

#include <kujata/kujata.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char command[] = "sub";

enum { SEQ_SIZE = 65, RETRY_MIN_MS = 100, RETRY_MAX_MS = 5000 };
enum {
    UNAUTHORIZED = 401,
    NOT_FOUND = 404,
    TOO_MANY = 429,
    SERVER_ERROR = 500,
    GOING_AWAY = 1001,
    POLICY = 1008,
    INTERNAL = 1011,
    RESTART = 1012,
    TRY_LATER = 1013
};

/* For the signal handler; NULL while there is nothing to say goodbye to. */
static struct kj_subscriber *_Atomic running;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
    struct kj_subscriber *subscriber = atomic_load(&running);
    if (!subscriber) {
        _exit(EXIT_SUCCESS);
    }
    kj_subscriber_interrupt(subscriber);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static enum kj_status print_event(const struct kj_event *event)
{
    uint8_t *bytes;
    size_t len;
    enum kj_status status = kj_event_encode(event, KJ_ENCODING_JSON, &bytes, &len);
    if (status) {
        return status;
    }
    bool printed = fwrite(bytes, 1, len, stdout) == len && putchar('\n') == '\n';
    free(bytes);
    return printed && fflush(stdout) == 0 ? KJ_OK : KJ_EIO;
}

/* Where it has come to, for the next connection. */
static void note_position(const struct kj_subscriber *subscriber, char since[SEQ_SIZE])
{
    const char *position = kj_subscriber_position(subscriber);
    if (position && strlen(position) < SEQ_SIZE) {
        snprintf(since, SEQ_SIZE, "%s", position);
    }
}

/* Prints until the session ends; the text says why, and the status what of: KJ_EIO for the
 * output. */
static enum kj_status print_events(struct kj_subscriber *subscriber, struct kj_error *error)
{
    for (;;) {
        struct kj_event *event;
        enum kj_status status = kj_subscriber_next(subscriber, 0, &event, error);
        if (status) {
            return status;
        }
        status = print_event(event);
        kj_event_unref(event);
        if (status) {
            kj_error_set(error, 0, "printing an event: %s", kj_status_text(status));
            return status;
        }
    }
}

/* Whether a session that ended so, or was not to be had, may be had later. */
static bool may_come_back(enum kj_status status, const struct kj_error *error)
{
    switch (error->position) {
    case 0:
        return status == KJ_ECLOSED || status == KJ_EIO || status == KJ_ETIMEOUT;
    case GOING_AWAY:
    case INTERNAL:
    case RESTART:
    case TRY_LATER:
        return true;
    default:
        return status == KJ_EREFUSED &&
               (error->position == TOO_MANY ||
                (error->position >= SERVER_ERROR && error->position < GOING_AWAY));
    }
}

/* A signal ends the program meanwhile. */
static void wait_a_while(uint32_t *wait_ms)
{
    const struct timespec pause = {.tv_sec = *wait_ms / 1000,
                                   .tv_nsec = (long)(*wait_ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
    *wait_ms = *wait_ms * 2 < RETRY_MAX_MS ? *wait_ms * 2 : RETRY_MAX_MS;
}

/* Tries until there is a session again, from where the last one was. */
static enum kj_status connect_again(const struct kj_subscriber_options *options,
                                    const char since[SEQ_SIZE], struct kj_subscriber **subscriber,
                                    struct kj_error *error)
{
    struct kj_subscriber_options again = *options;
    uint32_t wait_ms = RETRY_MIN_MS;
    enum kj_status status;
    fprintf(stderr, "kujata %s: %s; connecting again\n", command, error->text);
    again.since = *since ? since : NULL;
    do {
        wait_a_while(&wait_ms);
        *error = (struct kj_error){0};
        status = kj_subscriber_connect(&again, subscriber, error);
    } while (status && may_come_back(status, error));
    if (!status) {
        fprintf(stderr, "kujata %s: connected again%s\n", command,
                *since ? ""
                       : "; what came meanwhile is not known, since the server had told no place");
    }
    return status;
}

/* Returns when it is over for good. */
static void subscribe(const struct kj_subscriber_options *options, struct kj_subscriber *subscriber,
                      struct kj_error *error)
{
    char since[SEQ_SIZE] = "";
    enum kj_status status = KJ_OK;
    while (!status) {
        atomic_store(&running, subscriber);
        status = interrupted ? KJ_OK : print_events(subscriber, error);
        note_position(subscriber, since);
        bool is_output = status == KJ_EIO;
        atomic_store(&running, NULL);
        kj_subscriber_free(subscriber);
        if (interrupted || is_output || !options->resume || !may_come_back(status, error)) {
            return;
        }
        status = connect_again(options, since, &subscriber, error);
    }
}

/* What to change where the server did not let us in, or why it sent us away. */
static const char *hint(const struct kj_error *error)
{
    switch (error->position) {
    case UNAUTHORIZED:
        return " (see --token)";
    case NOT_FOUND:
        return " (is the path of the URL right? A node has sessions at /events, if --push-endpoint "
               "does not say otherwise)";
    case GOING_AWAY:
        return " (the server stops; see --resume)";
    case POLICY:
        return " (the token ran out or was refused, or the events were read too slowly)";
    default:
        return "";
    }
}

int command_sub(int argc, char *const *argv)
{
    static const char *const encodings[] = {"json", "msgpack", NULL}; /* as enum kj_encoding */
    struct kj_subscriber_options connect = {0};
    struct text_list identities = {0};
    int encoding = KJ_ENCODING_JSON;
    const struct option options[] = {
        {OPTION(NULL, OPTION_TEXT, &connect.url, "URL", "ws[s]://HOST:PORT/PATH?QUERY"),
         .required = true},
        {OPTION("--identity", OPTION_LIST, &identities, "NAME[:TYPE,...]",
                "only these events; repeatable; default all")},
        {OPTION("--encoding", OPTION_CHOICE, &encoding, "json|msgpack",
                "on the wire; default json"),
         .choices = encodings},
        {OPTION("--token", OPTION_TEXT, &connect.token, "TEXT", "sent as Authorization: Bearer")},
        {OPTION("--ca", OPTION_TEXT, &connect.ca, "FILE",
                "who may sign the server's certificate (PEM); default: the system's list"),
         .needs = {"URL wss://...|URL https://..."}},
        {OPTION("--cert", OPTION_TEXT, &connect.certificate, "FILE",
                "our own certificate, its chain behind it (PEM)"),
         .needs = {"URL wss://...|URL https://..."}},
        {OPTION("--key", OPTION_TEXT, &connect.key, "FILE",
                "its key (PEM); default: in the same file"),
         .needs = {"--cert"}},
        {OPTION("--insecure", OPTION_SWITCH, &connect.insecure, NULL,
                "do not check who the server is"),
         .needs = {"URL wss://...|URL https://..."}},
        {OPTION("--timeout-ms", OPTION_NUMBER, &connect.timeout_ms, "MS",
                "to connect; default 10000"),
         .minimum = 1, .maximum = UINT32_MAX},
        {OPTION("--resume", OPTION_SWITCH, &connect.resume, NULL,
                "connect again when the connection breaks, and go on where it was")},
    };
    enum options_result parsed = options_parse(command, options, sizeof options / sizeof *options,
                                               argc, argv);
    if (parsed) {
        return parsed == OPTIONS_HELP ? EXIT_SUCCESS : EXIT_USAGE;
    }
    connect.encoding = (enum kj_encoding)encoding;
    connect.identities = identities.items;

    catch_signals();
    struct kj_subscriber *subscriber;
    struct kj_error error = {0};
    enum kj_status status = kj_subscriber_connect(&connect, &subscriber, &error);
    if (status) {
        return options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command, "%s%s",
                            error.text, hint(&error));
    }
    subscribe(&connect, subscriber, &error);
    return interrupted ? EXIT_SUCCESS
                       : options_fail(EXIT_FAILURE, command, "%s%s", error.text, hint(&error));
}
