/* lot.c - pushes to the clients of one shard: see topic.h. */
#include "gateway/client.h"
#include "gateway/topic.h"

#include <stdlib.h>

/* ---- rows ---- */

static struct kj__gateway_side *side_of(const struct kj__topic_row *row)
{
    return &row->topic->gateway->sides[row->index];
}

static struct kj__topic_row *row_new(struct kj__topic *topic, size_t index)
{
    struct kj__topic_row *row = calloc(1, sizeof *row + topic->gateway->form_count *
                                                            sizeof(struct kj__lot *));
    if (row) {
        row->topic = topic;
        atomic_fetch_add_explicit(&topic->refs, 1, memory_order_relaxed);
        row->index = index;
        kj__list_init(&row->empty_link);
        topic->sides[index].row = row;
    }
    return row;
}

static void forget_waiting(struct kj__lot *lot)
{
    for (size_t i = 0; i < lot->waiting_count; i++) {
        KJ__UNCOUNT(lot->row->topic->gateway->options.counters, gateway_waiting);
        kj__parcel_unref(lot->waiting[i]);
    }
    lot->waiting_count = 0;
    lot->waiting_bytes = 0;
    kj__list_unlink(&lot->waiting_link);
}

static void row_free(struct kj__topic_row *row)
{
    struct kj__topic *topic = row->topic;
    struct kj__gateway_side *side = side_of(row);
    kj__list_unlink(&row->empty_link);
    for (size_t i = 0; i < topic->gateway->form_count; i++) {
        struct kj__lot *lot = row->lots[i];
        if (lot) {
            kj__wheel_disarm(&side->shard->chores, &lot->chore.entry);
            forget_waiting(lot);
            free(lot->waiting);
            kj__audience_fini(&lot->audience);
            free(lot);
        }
    }
    topic->sides[row->index].row = NULL;
    kj__topic_unref(topic);
    free(row);
}

/* A flush may be going through an audience whose last member has just left. */
static bool may_free(const struct kj__topic_row *row)
{
    bool may = true;
    for (size_t i = 0; i < row->topic->gateway->form_count; i++) {
        const struct kj__lot *lot = row->lots[i];
        may &= !lot || (lot->audience.count == 0 && !kj__audience_is_flushing(&lot->audience));
    }
    return may;
}

static void note_if_empty(struct kj__topic_row *row)
{
    if (may_free(row) && kj__list_is_empty(&row->empty_link)) {
        kj__list_append(&side_of(row)->empty, &row->empty_link);
    }
}

void kj__side_reap(struct kj__gateway_side *side)
{
    struct kj__list kept;
    kj__list_init(&kept);
    while (!kj__list_is_empty(&side->ended)) {
        struct kj__membership *membership = KJ__CONTAINER_OF(side->ended.next,
                                                             struct kj__membership, link);
        kj__list_unlink(&membership->link);
        kj__topic_unref(membership->topic);
        free(membership);
    }
    while (!kj__list_is_empty(&side->empty)) {
        struct kj__topic_row *row = KJ__CONTAINER_OF(side->empty.next, struct kj__topic_row,
                                                     empty_link);
        if (may_free(row)) {
            row_free(row);
        } else {
            kj__list_unlink(&row->empty_link);
            kj__list_append(&kept, &row->empty_link);
        }
    }
    kj__list_move(&kept, &side->empty);
}

/* ---- batches ---- */

static const struct kj_batching *batching_of(const struct kj__lot *lot)
{
    return &lot->row->topic->gateway->forms[lot->form].mount->protocol.batching;
}

bool kj__lot_is_batched(const struct kj__topic *topic, size_t form)
{
    const struct kj_batching *batching = &topic->gateway->forms[form].mount->protocol.batching;
    bool is_meant = topic->kind == KJ_TOPIC_ROOM || (topic->kind == KJ_TOPIC_ALL && batching->all);
    return is_meant && batching->window_ms > 0;
}

/* How many of the frames there was memory for. */
static uint32_t append(struct kj__lot *lot, const struct kj_frames *frames)
{
    struct kj__audience *audience = &lot->audience;
    uint32_t appended = 0;
    for (size_t i = 0; i < frames->count; i++) {
        if (kj__audience_append(audience, frames->items[i])) {
            appended++;
        } else {
            audience->shard->tally.events_queued += audience->count;
            KJ__COUNT_BY(audience->shard->delivery->counters, dropped_no_memory, audience->count);
        }
    }
    return appended;
}

static bool is_choosy(const struct kj__lot *lot, const struct kj_push *push)
{
    return lot->row->topic->gateway->forms[lot->form].mount->protocol.wants && push->parts.op != 0;
}

/* The frames of a push just appended are not for those who do not want it. Backwards, since one
 * that is closed for it swaps places with the last. */
static void skip_unwilling(struct kj__lot *lot, const struct kj_push *push, uint32_t frames)
{
    struct kj__audience *audience = &lot->audience;
    size_t skipped = 0;
    for (size_t i = audience->count; i > 0; i--) {
        struct kj__seat *seat = audience->members[i - 1].seat;
        if (!kj__client_wants(kj__client_of(seat->connection), push)) {
            kj__seat_skip(seat, frames);
            skipped++;
        }
    }
    KJ__COUNT_BY(audience->shard->delivery->counters, gateway_unwanted, skipped);
}

/* One push, as its frames. */
static void offer(struct kj__lot *lot, const struct kj_push *push, const struct kj_frames *frames)
{
    uint32_t appended = append(lot, frames);
    if (is_choosy(lot, push)) {
        skip_unwilling(lot, push, appended);
    }
}

static void encode_and_offer(struct kj__lot *lot, const struct kj_push *push)
{
    struct kj_frames *frames = kj__frames_new(lot->row->topic->gateway, lot->form, &push, 1);
    if (frames) {
        offer(lot, push, frames);
        kj__frames_free(frames);
    }
}

/* Whether a push is for each member. */
static bool is_for_all(const struct kj__lot *lot, const struct kj_push *push)
{
    bool is_wanted = true;
    for (size_t i = 0; is_choosy(lot, push) && is_wanted && i < lot->audience.count; i++) {
        is_wanted = kj__client_wants(kj__client_of(lot->audience.members[i].seat->connection),
                                     push);
    }
    return is_wanted;
}

/* Sends what waits as one batch, or one by one where some are not for everyone. */
static void send_waiting(struct kj__lot *lot)
{
    const struct kj_push *pushes[KJ__BATCH_MAX];
    bool is_whole = true;
    if (lot->waiting_count == 0) {
        return;
    }
    for (size_t i = 0; i < lot->waiting_count; i++) {
        pushes[i] = lot->waiting[i]->push;
        is_whole = is_whole && is_for_all(lot, pushes[i]);
    }
    struct kj_frames *frames = is_whole ? kj__frames_new(lot->row->topic->gateway, lot->form,
                                                         pushes, lot->waiting_count)
                                        : NULL;
    if (frames) {
        append(lot, frames);
        kj__frames_free(frames);
    }
    for (size_t i = 0; !is_whole && i < lot->waiting_count; i++) {
        encode_and_offer(lot, lot->waiting[i]->push);
    }
    KJ__COUNT(lot->row->topic->gateway->options.counters, gateway_batches);
    forget_waiting(lot);
}

void kj__side_send_waiting(struct kj__gateway_side *side)
{
    while (!kj__list_is_empty(&side->waiting)) {
        send_waiting(KJ__CONTAINER_OF(side->waiting.next, struct kj__lot, waiting_link));
    }
}

static void open_window(struct kj__lot *lot)
{
    struct kj__shard *shard = lot->audience.shard;
    lot->is_in_window = true;
    kj__wheel_arm(&shard->chores, &lot->chore.entry, shard->now_ms + batching_of(lot)->window_ms);
}

static void run_window(struct kj__chore *chore, struct kj__shard *shard)
{
    (void)shard;
    struct kj__lot *lot = KJ__CONTAINER_OF(chore, struct kj__lot, chore);
    lot->is_in_window = lot->waiting_count > 0;
    if (lot->is_in_window) {
        send_waiting(lot);
        open_window(lot);
    }
}

static bool wait_for_window(struct kj__lot *lot, struct kj__parcel *parcel)
{
    if (lot->waiting_count == lot->waiting_capacity) {
        size_t capacity = lot->waiting_capacity ? lot->waiting_capacity * 2 : 8;
        struct kj__parcel **waiting = realloc(lot->waiting, capacity * sizeof(struct kj__parcel *));
        if (!waiting) {
            return false;
        }
        lot->waiting = waiting;
        lot->waiting_capacity = capacity;
    }
    KJ__COUNT(lot->row->topic->gateway->options.counters, gateway_waiting);
    if (lot->waiting_count == 0) {
        kj__list_append(&side_of(lot->row)->waiting, &lot->waiting_link);
    }
    lot->waiting[lot->waiting_count++] = kj__parcel_ref(parcel);
    lot->waiting_bytes += parcel->push->parts.body_len;
    return true;
}

/* The first goes out at once; those that follow within the window go out together. */
static void batch(struct kj__lot *lot, struct kj__parcel *parcel)
{
    const struct kj_batching *batching = batching_of(lot);
    if (parcel->push->parts.at_once) {
        send_waiting(lot); /* what came before it leaves before it */
        encode_and_offer(lot, parcel->push);
        return;
    }
    if (!lot->is_in_window) {
        encode_and_offer(lot, parcel->push);
        open_window(lot);
        return;
    }
    if (!wait_for_window(lot, parcel)) {
        lot->audience.shard->tally.events_queued += lot->audience.count;
        KJ__COUNT_BY(lot->audience.shard->delivery->counters, dropped_no_memory,
                     lot->audience.count);
        return;
    }
    if (lot->waiting_count >= batching->items || lot->waiting_bytes >= batching->bytes) {
        send_waiting(lot);
    }
}

/* ---- seats ---- */

static struct kj__lot *lot_of(struct kj__topic_row *row, size_t form)
{
    struct kj__lot *lot = row->lots[form];
    if (!lot && (lot = calloc(1, sizeof *lot))) {
        kj__audience_init(&lot->audience, side_of(row)->shard);
        kj__wheel_entry_init(&lot->chore.entry);
        kj__list_init(&lot->waiting_link);
        lot->chore.run = run_window;
        lot->row = row;
        lot->form = form;
        row->lots[form] = lot;
    }
    return lot;
}

bool kj__lot_seat(struct kj__membership *membership)
{
    struct kj_client *client = membership->client;
    struct kj__topic *topic = membership->topic;
    size_t index = kj__side_of(client)->index;
    struct kj__topic_row *row = topic->sides[index].row;
    if (!row && !(row = row_new(topic, index))) {
        return false;
    }
    struct kj__lot *lot = lot_of(row, kj__client_form(client));
    if (lot) {
        send_waiting(lot); /* what was published before it came is not for it */
    }
    if (lot && kj__audience_seat(&lot->audience, &membership->seat, &client->session.connection)) {
        kj__list_unlink(&row->empty_link);
        return true;
    }
    note_if_empty(row);
    return false;
}

void kj__lot_leave(struct kj__membership *membership)
{
    struct kj__topic_row *row =
        membership->topic->sides[kj__side_of(membership->client)->index].row;
    if (membership->seat.audience) {
        send_waiting(KJ__CONTAINER_OF(membership->seat.audience, struct kj__lot, audience));
    }
    kj__seat_leave(&membership->seat);
    bool is_empty = row != NULL;
    for (size_t i = 0; is_empty && i < row->topic->gateway->form_count; i++) {
        is_empty = !row->lots[i] || row->lots[i]->audience.count == 0;
    }
    if (is_empty && kj__list_is_empty(&row->empty_link)) {
        kj__list_append(&side_of(row)->empty, &row->empty_link);
    }
}

/* ---- pushes ---- */

static void kick(struct kj__audience *audience, const struct kj__push_parts *parts)
{
    char reason[KJ__CONTROL_PAYLOAD_MAX];
    size_t len = parts->body_len < sizeof reason ? parts->body_len : sizeof reason - 1;
    for (size_t i = 0; i < len; i++) {
        reason[i] = (char)parts->body[i];
    }
    reason[len] = '\0';
    /* Backwards, since a client that is closed swaps places with the last. */
    for (size_t i = audience->count; i > 0; i--) {
        kj__client_finish(kj__client_of(audience->members[i - 1].seat->connection),
                          (uint16_t)parts->op, reason);
    }
}

void kj__topic_deliver(struct kj__topic *topic, size_t index, struct kj__parcel *parcel)
{
    bool is_for_all = topic->kind == KJ_TOPIC_ALL && parcel->push->parts.what == KJ__WHAT_PUSH;
    if (!is_for_all || !kj__broadcast_take(&topic->gateway->sides[index].broadcast, parcel)) {
        kj__topic_deliver_now(topic, index, parcel);
    }
}

void kj__topic_send_waiting(struct kj__topic *topic, size_t index)
{
    struct kj__topic_row *row = topic->sides[index].row;
    for (size_t i = 0; row && i < topic->gateway->form_count; i++) {
        if (row->lots[i]) {
            send_waiting(row->lots[i]);
        }
    }
}

void kj__topic_deliver_now(struct kj__topic *topic, size_t index, struct kj__parcel *parcel)
{
    struct kj__topic_row *row = topic->sides[index].row;
    for (size_t i = 0; row && i < topic->gateway->form_count; i++) {
        struct kj__lot *lot = row->lots[i];
        if (!lot || lot->audience.count == 0) {
            continue;
        }
        if (topic->kind == KJ_TOPIC_USER) {
            atomic_store(&parcel->is_given, true);
        }
        if (parcel->push->parts.what == KJ__WHAT_KICK) {
            send_waiting(lot);
            kick(&lot->audience, &parcel->push->parts);
        } else if (kj__lot_is_batched(topic, i)) {
            batch(lot, parcel);
        } else if (parcel->frames[i]) {
            offer(lot, parcel->push, parcel->frames[i]);
        }
    }
}
