/* client.c - see client.h: from the handshake to the end. Users are in user.c. */
#include "gateway/client.h"

#include "base/clock.h"
#include "base/log.h"
#include "gateway/subject.h"

#include <stdlib.h>
#include <string.h>

enum { MEMBERSHIPS_FIRST = 4 };

static struct kj_gateway *gateway_of(const struct kj_client *client)
{
    return client->mount->gateway;
}

bool kj_client_is_open(const struct kj_client *client)
{
    return client->session.connection.state == KJ__CONNECTION_OPEN;
}

/* ---- made of a handshake ---- */

static void run_out_of_time(struct kj__chore *chore, struct kj__shard *shard)
{
    (void)shard;
    struct kj_client *client = KJ__CONTAINER_OF(chore, struct kj_client, handshake);
    const struct kj__tls *tls = client->session.connection.tls;
    if (kj_client_is_open(client) && !(client->is_admitted && kj__tls_is_ready(tls))) {
        KJ__COUNT(gateway_of(client)->options.counters, gateway_handshakes_too_slow);
        kj__client_finish(client, KJ_CLOSE_UNAUTHORIZED, "not authenticated in time");
    }
}

bool kj__mount_take_place(struct kj__mount *mount)
{
    uint32_t left = atomic_load(&mount->places_left);
    while (mount->places > 0 && left > 0) {
        if (atomic_compare_exchange_weak(&mount->places_left, &left, left - 1)) {
            return true;
        }
    }
    return mount->places == 0;
}

void kj__mount_give_place(struct kj__mount *mount)
{
    if (mount->places > 0) {
        atomic_fetch_add(&mount->places_left, 1);
    }
}

struct kj_client *kj__client_new(struct kj__mount *mount, const struct kj__session_origin *origin)
{
    struct kj_gateway *gateway = mount->gateway;
    struct kj_session *session = kj__session_new(&gateway->clients_slab, gateway->options.delivery,
                                                 &mount->endpoint, origin);
    if (!session) {
        return NULL;
    }
    struct kj_client *client = (struct kj_client *)session;
    session->has_place = true;
    session->connection.check_utf8 = true; /* its texts are JSON, whatever it reads */
    client->mount = mount;
    client->id = (uint64_t)gateway->node << KJ__CLIENT_BITS |
                 (atomic_fetch_add_explicit(&gateway->last_client, 1, memory_order_relaxed) + 1);
    kj__list_init(&client->end.link);
    kj__wheel_entry_init(&client->handshake.entry);
    client->handshake.run = run_out_of_time;
    kj__bucket_init(&client->messages, mount->message_rate);
    return client;
}

/* ---- in the table of clients ---- */

/* One client more or less of its address; lock held. False when there is no memory. */
static bool count_address(const struct kj_client *client, int change)
{
    struct kj__map *addresses = &gateway_of(client)->addresses;
    const char *address = client->session.remote_address;
    uintptr_t count = (uintptr_t)kj__map_get(addresses, address) + (uintptr_t)change;
    if (count == 0) {
        kj__map_remove(addresses, address);
        return true;
    }
    return kj__map_put(addresses, address, (void *)count, NULL);
}

/* False when there is no memory. */
static bool list(struct kj_client *client)
{
    struct kj_gateway *gateway = gateway_of(client);
    char text[KJ_CLIENT_ID_SIZE];
    kj_client_id_format(client->id, text);
    pthread_mutex_lock(&gateway->lock);
    client->is_listed = count_address(client, 1);
    if (client->is_listed && !kj__map_put(&gateway->clients, text, client, NULL)) {
        client->is_listed = false;
        count_address(client, -1);
    }
    pthread_mutex_unlock(&gateway->lock);
    return client->is_listed;
}

static void unlist(struct kj_client *client)
{
    struct kj_gateway *gateway = gateway_of(client);
    char text[KJ_CLIENT_ID_SIZE];
    if (client->is_listed) {
        kj_client_id_format(client->id, text);
        pthread_mutex_lock(&gateway->lock);
        kj__map_remove(&gateway->clients, text);
        count_address(client, -1);
        pthread_mutex_unlock(&gateway->lock);
        client->is_listed = false;
    }
}

/* ---- rooms ---- */

static struct kj__membership *find(const struct kj_client *client, enum kj_topic_kind kind,
                                   const char *name, uint32_t *at)
{
    for (uint32_t i = 0; i < client->membership_count; i++) {
        struct kj__membership *membership = client->memberships[i];
        if (membership->topic->kind == kind && strcmp(membership->topic->name, name) == 0) {
            *at = i;
            return membership;
        }
    }
    return NULL;
}

static bool make_room(struct kj_client *client)
{
    if (client->membership_count < client->membership_capacity) {
        return true;
    }
    uint32_t capacity = client->membership_capacity ? client->membership_capacity * 2
                                                    : MEMBERSHIPS_FIRST;
    struct kj__membership **memberships = realloc(client->memberships,
                                                  capacity * sizeof(struct kj__membership *));
    if (!memberships) {
        return false;
    }
    client->memberships = memberships;
    client->membership_capacity = capacity;
    return true;
}

enum kj_status kj__client_enter(struct kj_client *client, enum kj_topic_kind kind, const char *name)
{
    struct kj__membership *membership;
    if (!kj_client_is_open(client)) {
        return KJ_ECLOSED;
    }
    if (!make_room(client)) {
        return KJ_ENOMEM;
    }
    enum kj_status status = kj__membership_new(client, kind, name, &membership);
    if (!status) {
        client->memberships[client->membership_count++] = membership;
    }
    return status;
}

enum kj_status kj_client_join(struct kj_client *client, const char *room)
{
    uint32_t at;
    if (!kj_name_is_valid(room)) {
        return KJ_EINVAL;
    }
    if (!client->is_admitted) {
        return KJ_EREFUSED;
    }
    if (find(client, KJ_TOPIC_ROOM, room, &at)) {
        return KJ_OK;
    }
    if (client->room_count >= client->mount->protocol.limits.rooms) {
        KJ__COUNT(gateway_of(client)->options.counters, gateway_joins_over_limit);
        return KJ_ELIMIT;
    }
    enum kj_status status = kj__client_enter(client, KJ_TOPIC_ROOM, room);
    client->room_count += status == KJ_OK;
    return status;
}

enum kj_status kj_client_leave(struct kj_client *client, const char *room)
{
    uint32_t at;
    if (!kj_name_is_valid(room)) {
        return KJ_EINVAL;
    }
    if (!kj_client_is_open(client)) {
        return KJ_ECLOSED;
    }
    struct kj__membership *membership = find(client, KJ_TOPIC_ROOM, room, &at);
    if (membership) {
        client->memberships[at] = client->memberships[--client->membership_count];
        client->room_count--;
        kj__membership_end(membership);
    }
    return KJ_OK;
}

bool kj_client_is_in(const struct kj_client *client, const char *room)
{
    uint32_t at;
    return room && find(client, KJ_TOPIC_ROOM, room, &at);
}

size_t kj_client_rooms(const struct kj_client *client, void (*visit)(const char *room, void *ctx),
                       void *ctx)
{
    for (uint32_t i = 0; visit && i < client->membership_count; i++) {
        const struct kj__topic *topic = client->memberships[i]->topic;
        if (topic->kind == KJ_TOPIC_ROOM) {
            visit(topic->name, ctx);
        }
    }
    return client->room_count;
}

/* ---- what its shard calls ---- */

enum kj_status kj_client_admit(struct kj_client *client)
{
    if (client->is_admitted) {
        return KJ_OK;
    }
    enum kj_status status = kj__client_enter(client, KJ_TOPIC_ALL, "");
    if (!status) {
        client->is_admitted = true;
    }
    /* One that has not shaken hands yet, in TLS over a stream, is not through. */
    if (!status && kj__tls_is_ready(client->session.connection.tls)) {
        kj__wheel_disarm(&client->session.connection.shard->chores, &client->handshake.entry);
    }
    return status;
}

static void on_open(struct kj__connection *connection)
{
    struct kj_client *client = kj__client_of(connection);
    const struct kj_protocol *protocol = &client->mount->protocol;
    struct kj__shard *shard = connection->shard;
    KJ__COUNT(gateway_of(client)->options.counters, gateway_clients_opened);
    KJ__COUNT(gateway_of(client)->options.counters, gateway_clients);
    kj__wheel_arm(&shard->chores, &client->handshake.entry,
                  shard->now_ms + protocol->limits.handshake_ms);
    if (!list(client) || (client->may_stay && kj_client_admit(client))) {
        kj__connection_close(connection, KJ__CLOSE_INTERNAL, "no memory", KJ__CAUSE_SERVER, false);
    }
    if (protocol->on_open) {
        protocol->on_open(client, protocol->ctx);
    }
}

/* Whether a message may come now. */
static bool is_in_rate(struct kj_client *client)
{
    if (client->messages.rate.interval_ns == 0) {
        return true;
    }
    int64_t now_ns = kj__clock_monotonic_ns();
    if (atomic_load_explicit(&client->messages.full_at_ns, memory_order_relaxed) <= now_ns) {
        client->excess = 0;
    }
    return kj__bucket_take(&client->messages, now_ns) == 0;
}

/* Refuses a message that came too fast. */
static void refuse_excess(struct kj_client *client, enum kj_frame frame, uint8_t *data, size_t len)
{
    static struct kj__log_limit limit;
    const struct kj_protocol *protocol = &client->mount->protocol;
    struct kj__counters *counters = gateway_of(client)->options.counters;
    KJ__COUNT(counters, gateway_messages_too_fast);
    if (protocol->on_excess) {
        protocol->on_excess(client, frame, data, len, protocol->ctx);
    }
    if (++client->excess < protocol->limits.messages_excess || !kj_client_is_open(client)) {
        return;
    }
    KJ__COUNT(counters, gateway_clients_too_fast);
    kj__log_limited(&limit, KJ__LOG_WARNING, "gateway",
                    "a client was closed: more than %u messages a second; see messages_per_second "
                    "(--gateway-limit-rate)",
                    protocol->limits.messages_per_second);
    kj__connection_close(&client->session.connection, KJ__CLOSE_POLICY, "too many messages",
                         KJ__CAUSE_OVER_LIMIT, true);
}

static void on_message(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len)
{
    struct kj_client *client = kj__client_of(connection);
    const struct kj_protocol *protocol = &client->mount->protocol;
    enum kj_frame frame = opcode == KJ__FRAME_TEXT ? KJ_FRAME_TEXT : KJ_FRAME_BINARY;
    kj__side_reap(kj__side_of(client));
    KJ__COUNT(gateway_of(client)->options.counters, gateway_messages);
    if (is_in_rate(client)) {
        protocol->on_message(client, frame, data, len, protocol->ctx);
    } else {
        refuse_excess(client, frame, data, len);
    }
}

static void give_place(struct kj_client *client)
{
    const struct kj__gateway_options *options = &gateway_of(client)->options;
    if (client->session.has_place) {
        client->session.has_place = false;
        kj__mount_give_place(client->mount);
        options->give_place(client->session.remote_address, options->ctx);
    }
}

/* Whoever asks now who is there, or whom a push reaches, is not told of it. */
static void on_closing(struct kj__connection *connection)
{
    struct kj_client *client = kj__client_of(connection);
    pthread_mutex_lock(&gateway_of(client)->lock);
    client->is_closing = true;
    pthread_mutex_unlock(&gateway_of(client)->lock);
    for (uint32_t i = client->membership_count; i > 0; i--) {
        kj__membership_uncount(client->memberships[i - 1]);
    }
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    struct kj_client *client = kj__client_of(connection);
    const struct kj_protocol *protocol = &client->mount->protocol;
    kj__wheel_disarm(&connection->shard->chores, &client->handshake.entry);
    /* First, so that whoever hears of it from on_close finds the client in no topic. The
     * memberships themselves live until the shard's side is reaped, which is later. */
    for (uint32_t i = client->membership_count; i > 0; i--) {
        kj__membership_end(client->memberships[i - 1]);
    }
    if (was_open && protocol->on_close) {
        protocol->on_close(client, protocol->ctx);
    }
    client->membership_count = 0;
    client->room_count = 0;
    unlist(client);
    give_place(client); /* whoever keeps the client, it counts no more */
    if (was_open) {
        KJ__UNCOUNT(gateway_of(client)->options.counters, gateway_clients);
    }
}

static void on_dropped(struct kj__connection *connection)
{
    kj__client_of(connection)->dropped++;
}

static void on_room(struct kj__connection *connection)
{
    struct kj_client *client = kj__client_of(connection);
    const struct kj_protocol *protocol = &client->mount->protocol;
    uint32_t dropped = client->dropped;
    client->dropped = 0;
    if (protocol->on_gap && dropped > 0) {
        client->is_in_gap = true;
        protocol->on_gap(client, dropped, protocol->ctx);
        client->is_in_gap = false;
    }
}

static void on_expired(struct kj__connection *connection)
{
    kj__client_finish(kj__client_of(connection), KJ_CLOSE_UNAUTHORIZED, "expired");
}

static void release(struct kj__connection *connection)
{
    struct kj_client *client = kj__client_of(connection);
    give_place(client);
    free(client->memberships);
    free(client->user);
    free(client->device);
    kj__session_free(&gateway_of(client)->clients_slab, &client->session);
}

const struct kj__protocol kj__client_protocol = {
    .name = "gateway",
    .on_open = on_open,
    .on_message = on_message,
    .on_closing = on_closing,
    .on_closed = on_closed,
    .on_dropped = on_dropped,
    .on_room = on_room,
    .on_expired = on_expired,
    .release = release,
};

static int64_t packet_len(const struct kj__connection *connection, const uint8_t *bytes, size_t len)
{
    const struct kj__mount *mount = connection->endpoint->ctx;
    size_t packet = mount->protocol.packet_len(bytes, len, mount->protocol.ctx);
    return packet <= INT64_MAX ? (int64_t)packet : KJ__PACKET_INVALID;
}

const struct kj__protocol kj__client_stream_protocol = {
    .name = "gateway stream",
    .packet_len = packet_len,
    .on_open = on_open,
    .on_message = on_message,
    .on_closing = on_closing,
    .on_closed = on_closed,
    .on_dropped = on_dropped,
    .on_room = on_room,
    .on_expired = on_expired,
    .release = release,
};

/* ---- messages and the end ---- */

struct kj__out_frame *kj__client_frame_new(const struct kj__mount *mount, enum kj_frame kind,
                                           const void *bytes, size_t len)
{
    return mount->is_stream
               ? kj__out_frame_new_bytes(bytes, len)
               : kj__out_frame_new(kind == KJ_FRAME_TEXT ? KJ__FRAME_TEXT : KJ__FRAME_BINARY, bytes,
                                   len);
}

enum kj_status kj_client_send(struct kj_client *client, enum kj_frame kind, const void *bytes,
                              size_t len)
{
    struct kj__connection *connection = &client->session.connection;
    if (!kj_client_is_open(client)) {
        return KJ_ECLOSED;
    }
    struct kj__out_frame *frame = kj__client_frame_new(client->mount, kind, bytes, len);
    if (!frame) {
        return KJ_ENOMEM;
    }
    enum kj_status status = KJ_OK;
    frame->policy = 1 + KJ_QUEUE_DISCONNECT;
    if (client->is_in_gap) {
        frame->is_notice = true;
        status = kj__connection_send_notice(connection, frame) ? KJ_OK : KJ_ENOMEM;
    } else {
        connection->shard->tally.events_queued++;
        status = kj__connection_send(connection, frame) == KJ__SENT ? KJ_OK : KJ_ECLOSED;
    }
    kj__out_frame_unref(frame);
    return status;
}

void kj__client_deliver(struct kj_client *client, struct kj__parcel *parcel)
{
    const struct kj__push_parts *parts = &parcel->push->parts;
    const struct kj_frames *frames = parcel->frames[kj__client_form(client)];
    if (parts->what == KJ__WHAT_KICK) {
        char reason[KJ__CONTROL_PAYLOAD_MAX] = {0};
        size_t len = parts->body_len < sizeof reason ? parts->body_len : sizeof reason - 1;
        memcpy(reason, parts->body, len);
        kj__client_finish(client, (uint16_t)parts->op, reason);
        return;
    }
    if (!kj__client_wants(client, parcel->push)) {
        KJ__COUNT(gateway_of(client)->options.counters, gateway_unwanted);
        return;
    }
    for (size_t i = 0; frames && i < frames->count; i++) {
        client->session.connection.shard->tally.events_queued++;
        kj__connection_send(&client->session.connection, frames->items[i]);
    }
}

void kj_client_close(struct kj_client *client, uint16_t code, const char *reason)
{
    enum kj__close_cause cause = code == KJ_CLOSE_UNAUTHORIZED ? KJ__CAUSE_UNAUTHORIZED
                                                               : KJ__CAUSE_SERVER;
    kj__connection_close(&client->session.connection, code, reason, cause, true);
}

void kj__client_finish(struct kj_client *client, uint16_t code, const char *reason)
{
    const struct kj_protocol *protocol = &client->mount->protocol;
    if (!kj_client_is_open(client)) {
        return;
    }
    KJ__COUNT(gateway_of(client)->options.counters, gateway_clients_ended);
    if (protocol->on_end) {
        protocol->on_end(client, code, reason, protocol->ctx);
    }
    kj_client_close(client, code, reason);
}

/* ---- what users ask ---- */

uint64_t kj_client_id(const struct kj_client *client)
{
    return client->id;
}

struct kj_client *kj_client_ref(struct kj_client *client)
{
    kj__connection_ref(&client->session.connection);
    return client;
}

void kj_client_unref(struct kj_client *client)
{
    if (client) {
        kj__connection_unref(&client->session.connection);
    }
}

struct kj_session *kj_client_session(struct kj_client *client)
{
    return &client->session;
}

struct kj_gateway *kj_client_gateway(const struct kj_client *client)
{
    return client->mount->gateway;
}

unsigned kj_client_encoding(const struct kj_client *client)
{
    return client->mount->protocol.encoding_count > 1 &&
                   client->session.write_encoding == KJ_ENCODING_MSGPACK
               ? 1
               : 0;
}

bool kj_client_is_authenticated(const struct kj_client *client)
{
    return client->is_authenticated;
}

bool kj_client_is_admitted(const struct kj_client *client)
{
    return client->is_admitted;
}

const char *kj_client_user(const struct kj_client *client)
{
    return client->user;
}

const char *kj_client_device(const struct kj_client *client)
{
    return client->device ? client->device : "";
}

void kj_client_count_refusal(struct kj_client *client)
{
    KJ__COUNT(gateway_of(client)->options.counters, gateway_refusals);
}

void kj_client_set_data(struct kj_client *client, void *data)
{
    client->data = data;
}

void *kj_client_data(const struct kj_client *client)
{
    return client->data;
}
