/* sub.c - `kujata sub`: prints each event of a server as one line of JSON. */
#include "commands.h"
#include "options.h"

#include <kujata/kujata.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char command[] = "sub";

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

/* Prints until the session ends; the text says why. */
static void print_events(struct kj_subscriber *subscriber, struct kj_error *error)
{
    for (;;) {
        struct kj_event *event;
        enum kj_status status = kj_subscriber_next(subscriber, 0, &event, error);
        if (status) {
            return;
        }
        status = print_event(event);
        kj_event_unref(event);
        if (status) {
            kj_error_set(error, 0, "printing an event: %s", kj_status_text(status));
            return;
        }
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
                "who may sign the server's certificate (PEM); default: the system's list")},
        {OPTION("--cert", OPTION_TEXT, &connect.certificate, "FILE",
                "our own certificate, its chain behind it (PEM)")},
        {OPTION("--key", OPTION_TEXT, &connect.key, "FILE",
                "its key (PEM); default: in the same file")},
        {OPTION("--insecure", OPTION_SWITCH, &connect.insecure, NULL,
                "do not check who the server is")},
        {OPTION("--timeout-ms", OPTION_NUMBER, &connect.timeout_ms, "MS",
                "to connect; default 10000"),
         .minimum = 1, .maximum = UINT32_MAX},
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
        return options_fail(status == KJ_EINVAL ? EXIT_USAGE : EXIT_FAILURE, command, "%s",
                            error.text);
    }
    atomic_store(&running, subscriber);
    print_events(subscriber, &error);
    atomic_store(&running, NULL);
    kj_subscriber_free(subscriber);
    return interrupted ? EXIT_SUCCESS : options_fail(EXIT_FAILURE, command, "%s", error.text);
}
