/* subscriber.c - a websocket client of one connection; see kujata/subscriber.h.
 *
 * Whatever arrives in one read is taken apart at once: events wait in `events`, and the end
 * of the session, once known, is told after them.
 */
#include "base/clock.h"
#include "base/list.h"
#include "delivery/client_handshake.h"
#include "delivery/frame.h"

#include <assert.h>
#include <errno.h>
#include <kujata/push_config.h>
#include <kujata/subscriber.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 16 * 1024 * 1024,
    FRAGMENTS_MAX = 1024,
    READ_SIZE = 64 * 1024,
    SEND_TIMEOUT_MS = 10000,
    GOODBYE_MS = 1000, /* for the server's part of the closing handshake */
};

/* Text is not checked here: bahamut sends msgpack in text frames, and the decoder of JSON
 * looks at its own bytes. */
static const struct kj__frame_limits limits = {.message_bytes = MESSAGE_MAX,
                                               .fragments = FRAGMENTS_MAX,
                                               .check_utf8 = false,
                                               .role = KJ__FRAME_CLIENT};

struct waiting {
    struct kj__list node; /* of kj_subscriber.events */
    struct kj_event *event;
};

struct kj_subscriber {
    struct kj__client client;
    int wake;                /* an eventfd, readable for ever once interrupted */
    atomic_bool interrupted; /* written by any thread */
    enum kj_encoding encoding;
    struct kj__frame_reader reader;
    struct kj__buffer in;   /* what came with the handshake's answer; then one read at a time */
    struct kj__buffer out;  /* pongs and the close */
    struct kj__list events; /* of waiting.node, oldest first */
    enum kj_status ended;   /* KJ_OK while the session lasts */
    struct kj_error end;    /* why it ended; position is the close code */
    struct kj_event *last;  /* the last that was taken and has a place; NULL: none */
};

static void end_session(struct kj_subscriber *subscriber, enum kj_status status, uint16_t code,
                        const char *text)
{
    if (!subscriber->ended) {
        subscriber->ended = status;
        if (code) {
            kj_error_set(&subscriber->end, code, "%s, close code %u", text, code);
        } else {
            kj_error_set(&subscriber->end, 0, "%s", text);
        }
    }
}

/* ---- what the frame reader calls ---- */

static bool on_message(void *ctx, enum kj__opcode opcode, uint8_t *data, size_t len)
{
    (void)opcode; /* the handshake settled the encoding */
    struct kj_subscriber *subscriber = ctx;
    struct waiting *waiting = malloc(sizeof *waiting);
    enum kj_status status = KJ_ENOMEM;
    if (waiting) {
        status = kj_event_decode(data, len, subscriber->encoding, &waiting->event);
    }
    if (status) {
        free(waiting);
        kj__frame_append_close(&subscriber->out, limits.role, KJ__CLOSE_UNSUPPORTED, NULL);
        end_session(subscriber, status, 0, "the server sent a message that is not an event");
        return false;
    }
    kj__list_append(&subscriber->events, &waiting->node);
    return true;
}

static bool on_ping(void *ctx, const uint8_t *data, size_t len)
{
    struct kj_subscriber *subscriber = ctx;
    kj__frame_append(&subscriber->out, limits.role, KJ__FRAME_PONG, data, len);
    return true;
}

static bool on_pong(void *ctx)
{
    (void)ctx; /* we send no pings */
    return true;
}

static bool on_close(void *ctx, uint16_t code)
{
    struct kj_subscriber *subscriber = ctx;
    kj__frame_append_close(&subscriber->out, limits.role, code, NULL);
    end_session(subscriber, KJ_ECLOSED, code, "the server closed the session");
    return false;
}

/* ---- bytes in and out ---- */

static void take_apart(struct kj_subscriber *subscriber, uint8_t *bytes, size_t len)
{
    static const struct kj__frame_events events = {on_message, on_ping, on_pong, on_close};
    struct kj__frame_outcome outcome = kj__frame_reader_feed(&subscriber->reader, &limits, bytes,
                                                             len, &events, subscriber);
    if (outcome.code) {
        kj__frame_append_close(&subscriber->out, limits.role, outcome.code, outcome.reason);
        end_session(subscriber, KJ_EPARSE, 0, outcome.reason);
    }
    if (subscriber->out.failed) {
        end_session(subscriber, KJ_ENOMEM, 0, kj_status_text(KJ_ENOMEM));
    } else if (subscriber->out.len && kj__client_send(&subscriber->client, &subscriber->out,
                                                      kj__clock_monotonic_ms() + SEND_TIMEOUT_MS)) {
        end_session(subscriber, KJ_ECLOSED, 0, "the connection was lost");
    }
}

static void receive(struct kj_subscriber *subscriber)
{
    subscriber->in.len = 0;
    uint8_t *room = kj__buffer_reserve(&subscriber->in, READ_SIZE);
    if (!room) {
        end_session(subscriber, KJ_ENOMEM, 0, kj_status_text(KJ_ENOMEM));
        return;
    }
    ssize_t n = kj__client_receive(&subscriber->client, room, READ_SIZE);
    if (n > 0) {
        take_apart(subscriber, room, (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        end_session(subscriber, KJ_ECLOSED, 0, "the connection ended without a close frame");
    }
}

/* Waits for bytes or an interruption until the time has come; false when it has. */
static bool wait_for_bytes(struct kj_subscriber *subscriber, uint64_t deadline_ms)
{
    if (kj__client_has_more(&subscriber->client)) {
        receive(subscriber);
        return true;
    }
    struct pollfd ready[] = {{.fd = subscriber->client.fd, .events = POLLIN},
                             {.fd = subscriber->wake, .events = POLLIN}};
    int timeout = -1;
    if (deadline_ms) {
        uint64_t now = kj__clock_monotonic_ms();
        timeout = kj__clock_left_ms(now, deadline_ms);
    }
    int count = poll(ready, 2, timeout);
    if (count > 0 && ready[0].revents) {
        receive(subscriber);
    }
    return count != 0;
}

/* ---- the public calls ---- */

/* Before anything is sent, so that a bad filter costs no connection. */
static enum kj_status encode_filter(struct kj_subscriber *subscriber,
                                    const struct kj_subscriber_options *options,
                                    struct kj_error *error)
{
    static const char *const everything[] = {NULL};
    uint8_t *bytes = NULL;
    size_t len = 0;
    bool has_filter = options->identities && options->identities[0];
    if (!has_filter && !options->since) {
        return KJ_OK;
    }
    /* A session that goes on is mute until it has said what it wants. */
    enum kj_status status = kj_push_config_encode(has_filter ? options->identities : everything,
                                                  options->encoding, &bytes, &len);
    if (status) {
        kj_error_set(error, 0, "an identity of the filter is not NAME or NAME:TYPE,TYPE: %s",
                     kj_status_text(status));
        return status;
    }
    enum kj__opcode opcode = options->encoding == KJ_ENCODING_JSON ? KJ__FRAME_TEXT
                                                                   : KJ__FRAME_BINARY;
    kj__frame_append(&subscriber->out, limits.role, opcode, bytes, len);
    free(bytes);
    return subscriber->out.failed ? KJ_ENOMEM : KJ_OK;
}

static enum kj_status send_filter(struct kj_subscriber *subscriber, struct kj_error *error)
{
    if (subscriber->out.len == 0) {
        return KJ_OK;
    }
    enum kj_status status = kj__client_send(&subscriber->client, &subscriber->out,
                                            kj__clock_monotonic_ms() + SEND_TIMEOUT_MS);
    if (status) {
        kj_error_set(error, 0, "sending the filter: %s", kj_status_text(status));
    }
    return status;
}

static struct kj_subscriber *subscriber_new(enum kj_encoding encoding)
{
    struct kj_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (!subscriber) {
        return NULL;
    }
    subscriber->encoding = encoding;
    subscriber->client.fd = -1;
    subscriber->ended = KJ_ECLOSED; /* nothing to say goodbye to yet */
    kj__frame_reader_init(&subscriber->reader);
    kj__buffer_init(&subscriber->in);
    kj__buffer_init(&subscriber->out);
    kj__list_init(&subscriber->events);
    subscriber->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (subscriber->wake < 0) {
        free(subscriber);
        return NULL;
    }
    return subscriber;
}

enum kj_status kj_subscriber_connect(const struct kj_subscriber_options *options,
                                     struct kj_subscriber **result, struct kj_error *error)
{
    struct kj_error unwanted;
    error = error ? error : &unwanted;
    *result = NULL;
    if (!options->url) {
        kj_error_set(error, 0, "url: required");
        return KJ_EINVAL;
    }
    struct kj_subscriber *subscriber = subscriber_new(options->encoding);
    if (!subscriber) {
        kj_error_set(error, 0, "%s", kj_status_text(KJ_ENOMEM));
        return KJ_ENOMEM;
    }
    enum kj_status status = encode_filter(subscriber, options, error);
    status = status ? status
                    : kj__client_handshake(options, &subscriber->client, &subscriber->in, error);
    status = status ? status : send_filter(subscriber, error);
    if (status) {
        kj_subscriber_free(subscriber);
        return status;
    }
    subscriber->ended = KJ_OK;
    if (subscriber->in.len) {
        take_apart(subscriber, subscriber->in.data, subscriber->in.len);
    }
    *result = subscriber;
    return KJ_OK;
}

static struct kj_event *take_event(struct kj_subscriber *subscriber)
{
    struct waiting *waiting = KJ__CONTAINER_OF(subscriber->events.next, struct waiting, node);
    struct kj_event *event = waiting->event;
    kj__list_unlink(&waiting->node);
    free(waiting);
    return event;
}

static bool is_position(const struct kj_event *event)
{
    return strcmp(kj_event_type(event), KJ_EVENT_POSITION) == 0 && !*kj_event_identity(event);
}

/* The next for the caller, who hears of places by another call; NULL: there is none yet. */
static struct kj_event *next_event(struct kj_subscriber *subscriber)
{
    struct kj_event *event = NULL;
    while (!event && !kj__list_is_empty(&subscriber->events)) {
        event = take_event(subscriber);
        if (kj_event_seq(event)) {
            kj_event_unref(subscriber->last);
            subscriber->last = kj_event_ref(event);
        }
        if (is_position(event)) {
            kj_event_unref(event);
            event = NULL;
        }
    }
    return event;
}

enum kj_status kj_subscriber_next(struct kj_subscriber *subscriber, uint32_t timeout_ms,
                                  struct kj_event **event, struct kj_error *error)
{
    uint64_t deadline_ms = timeout_ms ? kj__clock_monotonic_ms() + timeout_ms : 0;
    *event = NULL;
    for (;;) {
        if (atomic_load(&subscriber->interrupted)) {
            kj_error_set(error, 0, "interrupted");
            return KJ_ECLOSED;
        }
        *event = next_event(subscriber);
        if (*event) {
            return KJ_OK;
        }
        if (subscriber->ended) {
            kj_error_set(error, subscriber->end.position, "%s", subscriber->end.text);
            return subscriber->ended;
        }
        if (!wait_for_bytes(subscriber, deadline_ms)) {
            kj_error_set(error, 0, "no event within %u ms", timeout_ms);
            return KJ_ETIMEOUT;
        }
    }
}

const char *kj_subscriber_position(const struct kj_subscriber *subscriber)
{
    if (subscriber->last) {
        return kj_event_seq(subscriber->last);
    }
    return *subscriber->client.position ? subscriber->client.position : NULL;
}

void kj_subscriber_interrupt(struct kj_subscriber *subscriber)
{
    int before = errno;
    uint64_t one = 1;
    atomic_store(&subscriber->interrupted, true);
    ssize_t written = write(subscriber->wake, &one, sizeof one);
    assert(written == (ssize_t)sizeof one || errno == EAGAIN);
    (void)written;
    errno = before;
}

/* Sends a close and reads until the server has answered it, for a bounded time. */
static void say_goodbye(struct kj_subscriber *subscriber)
{
    uint64_t deadline_ms = kj__clock_monotonic_ms() + GOODBYE_MS;
    kj__frame_append_close(&subscriber->out, limits.role, KJ__CLOSE_NORMAL, NULL);
    if (subscriber->out.failed ||
        kj__client_send(&subscriber->client, &subscriber->out, deadline_ms)) {
        return;
    }
    while (!subscriber->ended && kj__clock_monotonic_ms() < deadline_ms &&
           (kj__client_has_more(&subscriber->client) ||
            kj__client_wait(subscriber->client.fd, POLLIN, deadline_ms))) {
        receive(subscriber);
    }
    kj__tls_end(subscriber->client.tls);
}

void kj_subscriber_free(struct kj_subscriber *subscriber)
{
    if (!subscriber) {
        return;
    }
    if (!subscriber->ended) {
        say_goodbye(subscriber);
    }
    while (!kj__list_is_empty(&subscriber->events)) {
        kj_event_unref(take_event(subscriber));
    }
    kj_event_unref(subscriber->last);
    kj__client_close(&subscriber->client);
    close(subscriber->wake);
    kj__frame_reader_fini(&subscriber->reader);
    kj__buffer_fini(&subscriber->in);
    kj__buffer_fini(&subscriber->out);
    free(subscriber);
}
