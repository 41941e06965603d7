/* broadcast.c - see broadcast.h. */
#include "gateway/broadcast.h"

#include "base/log.h"
#include "gateway/client.h"
#include "gateway/topic.h"

#include <stdlib.h>

enum {
    WAITING_MAX = 1024,
    WAITING_BYTES_MAX = 64 << 20,
    STEP_MS = 50,        /* as fine as the wheel goes */
    PORTION_MAX = 10000, /* clients of one step: others want the shard as well */
    MS_PER_S = 1000,
};

struct waiting {
    struct kj__list link;
    struct kj__parcel *parcel; /* a reference */
};

static struct waiting *first_of(const struct kj__broadcast *broadcast)
{
    return KJ__CONTAINER_OF(broadcast->waiting.next, struct waiting, link);
}

/* The first is done with. */
static void drop_first(struct kj__broadcast *broadcast)
{
    struct waiting *first = first_of(broadcast);
    kj__list_unlink(&first->link);
    broadcast->count--;
    broadcast->bytes -= first->parcel->push->parts.body_len;
    kj__parcel_unref(first->parcel);
    free(first);
    free(broadcast->clients);
    broadcast->clients = NULL;
    broadcast->client_count = broadcast->next = 0;
}

/* ---- the walk ---- */

static void list_clients(struct kj__broadcast *broadcast, const struct kj__topic_row *row)
{
    for (size_t i = 0; i < row->topic->gateway->form_count; i++) {
        const struct kj__lot *lot = row->lots[i];
        for (size_t at = 0; lot && at < lot->audience.count; at++) {
            broadcast->clients[broadcast->client_count++] =
                kj__client_of(lot->audience.members[at].seat->connection)->id;
        }
    }
}

static size_t count_clients(const struct kj__topic_row *row)
{
    size_t count = 0;
    for (size_t i = 0; row && i < row->topic->gateway->form_count; i++) {
        count += row->lots[i] ? row->lots[i]->audience.count : 0;
    }
    return count;
}

/* False when there is nobody, or no memory for a list of them. */
static bool begin(struct kj__broadcast *broadcast, const struct kj__parcel *parcel)
{
    const struct kj__gateway_side *side = broadcast->side;
    const struct kj__topic *topic = parcel->topic;
    const struct kj__topic_row *row = topic->sides[side->index].row;
    size_t count = count_clients(row);
    size_t all = 0;
    if (count == 0) {
        return false;
    }
    kj__topic_send_waiting(parcel->topic, side->index);
    broadcast->clients = calloc(count, sizeof *broadcast->clients);
    if (!broadcast->clients) {
        KJ__COUNT_BY(parcel->gateway->options.counters, dropped_no_memory, count);
        return false;
    }
    list_clients(broadcast, row);
    for (size_t i = 0; i < parcel->gateway->options.delivery->shard_count; i++) {
        all += atomic_load(&topic->sides[i].members);
    }
    double part = all > count ? (double)count / (double)all : 1.0;
    broadcast->per_ms = parcel->push->parts.speed * part / MS_PER_S;
    broadcast->began_ms = side->shard->now_ms;
    return true;
}

/* The client, while it is one of this shard's. */
static struct kj_client *find(struct kj_gateway *gateway, uint64_t id)
{
    char text[KJ_CLIENT_ID_SIZE];
    kj_client_id_format(id, text);
    pthread_mutex_lock(&gateway->lock);
    struct kj_client *client = kj__map_get(&gateway->clients, text);
    pthread_mutex_unlock(&gateway->lock);
    return client && kj_client_is_open(client) ? client : NULL;
}

/* How many are to have it by now; at the end of the node, all. Shards take turns in their first
 * clients, lest a low speed begin with one of each. */
static size_t due(const struct kj__broadcast *broadcast)
{
    const struct kj__gateway_side *side = broadcast->side;
    if (side->shard->is_draining) {
        return broadcast->client_count;
    }
    double phase = (double)(side->index + 1) / (double)side->shard->delivery->shard_count;
    double due = (double)(side->shard->now_ms - broadcast->began_ms) * broadcast->per_ms + phase;
    return due < (double)broadcast->client_count ? (size_t)due : broadcast->client_count;
}

/* One step; true at the end of the walk. */
static bool walk(struct kj__broadcast *broadcast, struct kj__parcel *parcel)
{
    size_t until = due(broadcast);
    until = until > broadcast->next + PORTION_MAX ? broadcast->next + PORTION_MAX : until;
    for (; broadcast->next < until; broadcast->next++) {
        struct kj_client *client = find(parcel->gateway, broadcast->clients[broadcast->next]);
        if (client) {
            kj__client_deliver(client, parcel);
        }
    }
    return broadcast->next == broadcast->client_count;
}

static void arm(struct kj__broadcast *broadcast)
{
    struct kj__shard *shard = broadcast->side->shard;
    kj__wheel_arm(&shard->chores, &broadcast->chore.entry, shard->now_ms + STEP_MS);
}

static void run(struct kj__chore *chore, struct kj__shard *shard)
{
    (void)shard;
    struct kj__broadcast *broadcast = KJ__CONTAINER_OF(chore, struct kj__broadcast, chore);
    while (!kj__list_is_empty(&broadcast->waiting)) {
        struct kj__parcel *parcel = first_of(broadcast)->parcel;
        if (parcel->push->parts.speed == 0) {
            kj__topic_deliver_now(parcel->topic, broadcast->side->index, parcel);
        } else if (broadcast->clients || begin(broadcast, parcel)) {
            if (!walk(broadcast, parcel)) {
                arm(broadcast);
                return;
            }
        }
        drop_first(broadcast);
    }
}

/* ---- taking ---- */

static void drop(const struct kj__parcel *parcel)
{
    static struct kj__log_limit limit;
    KJ__COUNT(parcel->gateway->options.counters, gateway_broadcasts_dropped);
    kj__log_limited(&limit, KJ__LOG_WARNING, "gateway",
                    "a push to all was dropped: too many wait behind one with a \"speed\"");
}

bool kj__broadcast_take(struct kj__broadcast *broadcast, struct kj__parcel *parcel)
{
    size_t bytes = parcel->push->parts.body_len;
    bool is_first = kj__list_is_empty(&broadcast->waiting);
    if (is_first && parcel->push->parts.speed == 0) {
        return false;
    }
    struct waiting *waiting = malloc(sizeof *waiting);
    if (!waiting || broadcast->count >= WAITING_MAX ||
        (!is_first && broadcast->bytes + bytes > WAITING_BYTES_MAX)) {
        free(waiting);
        drop(parcel);
        return true;
    }
    waiting->parcel = kj__parcel_ref(parcel);
    kj__list_append(&broadcast->waiting, &waiting->link);
    broadcast->count++;
    broadcast->bytes += bytes;
    if (is_first) {
        run(&broadcast->chore, broadcast->side->shard);
    }
    return true;
}

void kj__broadcast_finish(struct kj__broadcast *broadcast)
{
    while (!kj__list_is_empty(&broadcast->waiting)) {
        run(&broadcast->chore, broadcast->side->shard);
    }
    kj__wheel_disarm(&broadcast->side->shard->chores, &broadcast->chore.entry);
}

void kj__broadcast_init(struct kj__broadcast *broadcast, struct kj__gateway_side *side)
{
    *broadcast = (struct kj__broadcast){.side = side, .chore.run = run};
    kj__wheel_entry_init(&broadcast->chore.entry);
    kj__list_init(&broadcast->waiting);
}

void kj__broadcast_fini(struct kj__broadcast *broadcast)
{
    kj__wheel_disarm(&broadcast->side->shard->chores, &broadcast->chore.entry);
    while (!kj__list_is_empty(&broadcast->waiting)) {
        drop_first(broadcast);
    }
}
