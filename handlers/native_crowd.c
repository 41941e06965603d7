/* native_crowd.c - large rooms hear how many came and went, once in a while, instead of who.
 *
 * What one node has to tell at once is bounded, and so is how often. How many there are on other
 * nodes is known from their reports, which may come after a room was told: so a room stays under
 * watch until every node has reported, and hears of the difference.
 */
#include "handlers/native.h"

#include <kujata/presence.h>
#include <stdlib.h>
#include <string.h>

enum {
    CROWDS_MAX = 1024,         /* rooms that wait to be told, and watched ones */
    CROWDS_WATCHED_MAX = 512,  /* leave place for those with changes */
    CROWD_WATCHED_REPORTS = 2, /* what came to a node just after its report is in the next */
    CROWD_LOOKS_MAX = 1000, /* where a room is looked at much more often than there are reports */
};

/* What is noted of a room: numbers, in this order. */
enum {
    CROWD_JOINED,
    CROWD_LEFT,
    CROWD_TOLD,  /* the count it was told last */
    CROWD_LOOKS, /* how often it will still be looked at */
};

bool native_crowds_init(struct native_crowds *crowds)
{
    pthread_mutex_init(&crowds->lock, NULL);
    crowds->rooms = json_object();
    return crowds->rooms;
}

void native_crowds_fini(struct native_crowds *crowds)
{
    json_decref(crowds->rooms);
    pthread_mutex_destroy(&crowds->lock);
}

/* ---- told ---- */

static uint64_t count_of(const struct kj_native *native, struct kj_gateway *gateway,
                         const char *room)
{
    uint64_t count;
    if (!native->options.presence) {
        return kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, room);
    }
    kj_presence_room_counts(native->options.presence, &room, 1, &count);
    return count;
}

static json_int_t noted(const json_t *crowd, size_t which)
{
    return json_integer_value(json_array_get(crowd, which));
}

static void note(json_t *crowd, size_t which, json_int_t number)
{
    (void)json_integer_set(json_array_get(crowd, which), number);
}

static enum kj_status tell(struct kj_gateway *gateway, const char *room, const json_t *crowd)
{
    uint8_t *body = NULL;
    size_t len = 0;
    json_t *value = json_pack("{s:I, s:I, s:I}", "joined", noted(crowd, CROWD_JOINED), "left",
                              noted(crowd, CROWD_LEFT), "count", noted(crowd, CROWD_TOLD));
    enum kj_status status = value ? kj_value_encode(KJ_ENCODING_JSON, value, &body, &len)
                                  : KJ_ENOMEM;
    if (!status) {
        status = kj_gateway_publish(gateway,
                                    &(struct kj_push_options){.kind = KJ_TOPIC_ROOM,
                                                              .name = room,
                                                              .presence = KJ_PRESENCE_SUMMARY,
                                                              .body = body,
                                                              .body_len = len,
                                                              .body_is_json = true},
                                    NULL);
    }
    free(body);
    json_decref(value);
    return status;
}

/* How often a room is looked at after it was told. */
static json_int_t looks_of(const struct kj_native *native)
{
    const struct kj_native_options *options = &native->options;
    if (!options->presence) {
        return 0;
    }
    uint32_t looks = CROWD_WATCHED_REPORTS * kj_presence_interval_ms(options->presence) /
                         options->summary_ms +
                     1;
    return looks < CROWD_LOOKS_MAX ? looks : CROWD_LOOKS_MAX;
}

/* Tells it what has changed, if anything has; whether it stays under watch. */
static bool look_at(struct kj_native *native, struct kj_gateway *gateway, const char *room,
                    json_t *crowd)
{
    json_int_t count = (json_int_t)count_of(native, gateway, room);
    bool is_news = noted(crowd, CROWD_JOINED) || noted(crowd, CROWD_LEFT);
    if (is_news || count != noted(crowd, CROWD_TOLD)) {
        json_int_t told = noted(crowd, CROWD_TOLD);
        note(crowd, CROWD_TOLD, count);
        bool is_told = !tell(gateway, room, crowd);
        note(crowd, CROWD_TOLD, is_told ? count : told);
        atomic_fetch_add(is_told ? &native->crowds.told : &native->crowds.untold, 1);
    }
    note(crowd, CROWD_LOOKS, is_news ? looks_of(native) : noted(crowd, CROWD_LOOKS) - 1);
    note(crowd, CROWD_JOINED, 0);
    note(crowd, CROWD_LEFT, 0);
    return noted(crowd, CROWD_LOOKS) > 0;
}

static void tell_all(void *ctx);

/* Sees to it that they are told in a while. */
static void make_due(struct kj_native *native, struct kj_gateway *gateway)
{
    struct native_crowds *crowds = &native->crowds;
    pthread_mutex_lock(&crowds->lock);
    bool was_due = crowds->is_due;
    crowds->is_due = was_due || json_object_size(crowds->rooms) > 0;
    bool becomes_due = crowds->is_due && !was_due;
    pthread_mutex_unlock(&crowds->lock);
    if (becomes_due && kj_gateway_later(gateway, native->options.summary_ms, tell_all, native)) {
        pthread_mutex_lock(&crowds->lock);
        crowds->is_due = false;
        pthread_mutex_unlock(&crowds->lock);
    }
}

static void keep_watching(struct native_crowds *crowds, const char *room, json_t *crowd)
{
    pthread_mutex_lock(&crowds->lock);
    json_t *newer = json_object_get(crowds->rooms, room);
    if (newer) {
        note(newer, CROWD_TOLD, noted(crowd, CROWD_TOLD));
    } else if (json_object_size(crowds->rooms) < CROWDS_WATCHED_MAX) {
        (void)json_object_set(crowds->rooms, room, crowd);
    }
    pthread_mutex_unlock(&crowds->lock);
}

/* On a thread of the gateway's. */
static void tell_all(void *ctx)
{
    struct kj_native *native = ctx;
    struct native_crowds *crowds = &native->crowds;
    struct kj_gateway *gateway = atomic_load(&crowds->gateway);
    json_t *empty = json_object();
    const char *room;
    json_t *crowd;
    pthread_mutex_lock(&crowds->lock);
    json_t *rooms = crowds->rooms;
    crowds->rooms = empty ? empty : rooms;
    crowds->is_due = false;
    pthread_mutex_unlock(&crowds->lock);
    if (!empty) {
        return; /* whoever comes next makes it due again */
    }
    json_object_foreach(rooms, room, crowd)
    {
        if (look_at(native, gateway, room, crowd)) {
            keep_watching(crowds, room, crowd);
        }
    }
    json_decref(rooms);
    make_due(native, gateway);
}

/* ---- noted ---- */

/* What is noted of a room; NULL when there is no place. Lock held. */
static json_t *crowd_of(struct native_crowds *crowds, const char *room)
{
    json_t *crowd = json_object_get(crowds->rooms, room);
    if (crowd || json_object_size(crowds->rooms) >= CROWDS_MAX) {
        return crowd;
    }
    crowd = json_pack("[i, i, i, i]", 0, 0, 0, 0);
    return crowd && json_object_set_new(crowds->rooms, room, crowd) == 0 ? crowd : NULL;
}

void native_note_crowd(struct kj_native *native, struct kj_gateway *gateway, const char *room,
                       enum kj_presence presence)
{
    struct native_crowds *crowds = &native->crowds;
    size_t which = presence == KJ_PRESENCE_JOINED ? CROWD_JOINED : CROWD_LEFT;
    atomic_store(&crowds->gateway, gateway);
    pthread_mutex_lock(&crowds->lock);
    json_t *crowd = crowd_of(crowds, room);
    if (crowd) {
        note(crowd, which, noted(crowd, which) + 1);
    }
    pthread_mutex_unlock(&crowds->lock);
    if (!crowd) {
        atomic_fetch_add(&crowds->untold, 1);
    }
    make_due(native, gateway);
}

void native_crowds_count(const struct native_crowds *crowds, kj_counter_visit visit, void *ctx)
{
    visit("native_summaries_total", "Times a large room was told how many came and went.",
          atomic_load(&crowds->told), ctx);
    visit("native_summaries_lost_total",
          "Comings and goings, or summaries of them, that a large room was not told of.",
          atomic_load(&crowds->untold), ctx);
}
