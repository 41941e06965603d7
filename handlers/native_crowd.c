/* native_crowd.c - large rooms hear how many came and went, once in a while, instead of who.
 *
 * What one node has to tell at once is bounded, and so is how often.
 */
#include "handlers/native.h"

#include <kujata/presence.h>
#include <stdlib.h>
#include <string.h>

enum { CROWDS_MAX = 1024 /* rooms that wait to be told */ };

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

static enum kj_status tell(const struct kj_native *native, struct kj_gateway *gateway,
                           const char *room, json_t *changes)
{
    uint8_t *body = NULL;
    size_t len = 0;
    json_t *value = json_pack("{s:O, s:O, s:I}", "joined", json_array_get(changes, 0), "left",
                              json_array_get(changes, 1), "count",
                              (json_int_t)count_of(native, gateway, room));
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

/* On a thread of the gateway's. */
static void tell_all(void *ctx)
{
    struct kj_native *native = ctx;
    struct native_crowds *crowds = &native->crowds;
    struct kj_gateway *gateway = atomic_load(&crowds->gateway);
    json_t *empty = json_object();
    const char *room;
    json_t *changes;
    pthread_mutex_lock(&crowds->lock);
    json_t *rooms = crowds->rooms;
    crowds->rooms = empty ? empty : rooms;
    crowds->is_due = false;
    pthread_mutex_unlock(&crowds->lock);
    if (!empty) {
        return; /* whoever comes next makes it due again */
    }
    json_object_foreach(rooms, room, changes)
    {
        bool is_told = !tell(native, gateway, room, changes);
        atomic_fetch_add(is_told ? &crowds->told : &crowds->untold, 1);
    }
    json_decref(rooms);
}

/* ---- noted ---- */

/* What is noted of a room; NULL when there is no place. Lock held. */
static json_t *changes_of(struct native_crowds *crowds, const char *room)
{
    json_t *changes = json_object_get(crowds->rooms, room);
    if (changes || json_object_size(crowds->rooms) >= CROWDS_MAX) {
        return changes;
    }
    changes = json_pack("[i, i]", 0, 0);
    return changes && json_object_set_new(crowds->rooms, room, changes) == 0 ? changes : NULL;
}

void native_note_crowd(struct kj_native *native, struct kj_gateway *gateway, const char *room,
                       enum kj_presence presence)
{
    struct native_crowds *crowds = &native->crowds;
    atomic_store(&crowds->gateway, gateway);
    pthread_mutex_lock(&crowds->lock);
    json_t *changes = changes_of(crowds, room);
    json_t *number = json_array_get(changes, presence == KJ_PRESENCE_JOINED ? 0 : 1);
    bool is_noted = number && json_integer_set(number, json_integer_value(number) + 1) == 0;
    bool was_due = crowds->is_due;
    crowds->is_due = was_due || is_noted;
    pthread_mutex_unlock(&crowds->lock);
    if (!is_noted) {
        atomic_fetch_add(&crowds->untold, 1);
    } else if (!was_due &&
               kj_gateway_later(gateway, native->options.summary_ms, tell_all, native)) {
        pthread_mutex_lock(&crowds->lock);
        crowds->is_due = false;
        pthread_mutex_unlock(&crowds->lock);
    }
}

void native_crowds_count(const struct native_crowds *crowds, kj_counter_visit visit, void *ctx)
{
    visit("native_summaries_total", "Times a large room was told how many came and went.",
          atomic_load(&crowds->told), ctx);
    visit("native_summaries_lost_total",
          "Comings and goings, or summaries of them, that a large room was not told of.",
          atomic_load(&crowds->untold), ctx);
}
