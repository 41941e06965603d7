/* presence_book.c - see presence.h: what each node has said, and the sums of it. */
#include "handlers/presence.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE = 256 /* rooms gone through before others have the lock */ };

/* ---- rooms ---- */

static json_int_t count_of(const json_t *rooms, const char *name)
{
    return json_integer_value(json_object_get(rooms, name));
}

/* False when there is no memory. */
static bool put(json_t *rooms, const char *name, json_int_t count)
{
    json_t *there = json_object_get(rooms, name);
    if (count == 0) {
        json_object_del(rooms, name);
        return true;
    }
    return there ? json_integer_set(there, count) == 0
                 : json_object_set_new(rooms, name, json_integer(count)) == 0;
}

/* FNV-1a. Names that were chosen to meet in one part make that as large as the whole, no more. */
static size_t part_of(const char *name)
{
    uint32_t hash = 2166136261U;
    for (; *name; name++) {
        hash = (hash ^ (uint8_t)*name) * 16777619U;
    }
    return hash % PRESENCE_BOOK_PARTS;
}

const struct presence_part *presence_book_part(const struct presence_book *book, const char *room)
{
    return &book->parts[part_of(room)];
}

static bool add_to_total(struct presence_book *book, const char *name, json_int_t difference)
{
    json_t *totals = presence_book_part(book, name)->totals;
    return difference == 0 || put(totals, name, count_of(totals, name) + difference);
}

/* Between two rooms of a change to many: lets those look who wait for it. They go first, since a
 * lock for readers and writers prefers the readers. Lock held. */
static void let_look(struct presence_book *book, size_t *gone_through)
{
    if (++*gone_through % SLICE == 0) {
        pthread_rwlock_unlock(&book->lock);
        pthread_rwlock_wrlock(&book->lock);
    }
}

/* Frees figures that are nobody's any more, which takes a while. Lock held. */
static void discard(struct presence_book *book, json_t *rooms)
{
    pthread_rwlock_unlock(&book->lock);
    json_decref(rooms);
    pthread_rwlock_wrlock(&book->lock);
}

/* ---- nodes ---- */

bool presence_book_init(struct presence_book *book, const struct kj_presence_options *options,
                        struct presence_counters *counters)
{
    *book = (struct presence_book){.counters = counters,
                                   .nodes_max = options->nodes,
                                   .rooms_max = options->rooms,
                                   .nodes = calloc(options->nodes, sizeof *book->nodes)};
    bool is_made = book->nodes != NULL;
    for (size_t i = 0; i < PRESENCE_BOOK_PARTS; i++) {
        book->parts[i] = (struct presence_part){json_object(), json_object()};
        is_made = is_made && book->parts[i].own && book->parts[i].totals;
    }
    pthread_rwlock_init(&book->lock, NULL);
    return is_made;
}

static void node_fini(struct presence_node *node)
{
    json_decref(node->rooms);
    json_decref(node->coming);
}

void presence_book_fini(struct presence_book *book)
{
    for (size_t i = 0; i < book->node_count; i++) {
        node_fini(&book->nodes[i]);
    }
    for (size_t i = 0; i < PRESENCE_BOOK_PARTS; i++) {
        json_decref(book->parts[i].own);
        json_decref(book->parts[i].totals);
    }
    free(book->nodes);
    pthread_rwlock_destroy(&book->lock);
}

/* Where a node is, or would be. */
static size_t place_of(const struct presence_book *book, uint32_t id)
{
    size_t at = 0;
    while (at < book->node_count && book->nodes[at].id < id) {
        at++;
    }
    return at;
}

static struct presence_node *find(const struct presence_book *book, uint32_t id)
{
    size_t at = place_of(book, id);
    return at < book->node_count && book->nodes[at].id == id ? &book->nodes[at] : NULL;
}

static enum kj_status add_node(struct presence_book *book, uint32_t id, struct presence_node **node)
{
    if (book->node_count == book->nodes_max) {
        atomic_fetch_add(&book->counters->nodes_over_limit, 1);
        return KJ_ELIMIT;
    }
    json_t *rooms = json_object();
    if (!rooms) {
        return KJ_ENOMEM;
    }
    size_t at = place_of(book, id);
    memmove(&book->nodes[at + 1], &book->nodes[at], (book->node_count - at) * sizeof *book->nodes);
    book->node_count++;
    book->nodes[at] = (struct presence_node){.id = id, .rooms = rooms};
    *node = &book->nodes[at];
    return KJ_OK;
}

/* The figures it may hold: those of a report that replaces others need no place of their own. */
static size_t reserved(const struct presence_node *node)
{
    size_t there = json_object_size(node->rooms);
    size_t coming = json_object_size(node->coming);
    return there > coming ? there : coming;
}

/* Lock held. */
static void remove_node(struct presence_book *book, struct presence_node *node)
{
    const char *name;
    json_t *count;
    struct presence_node gone = *node;
    size_t at = (size_t)(node - book->nodes);
    size_t gone_through = 0;
    book->rooms -= reserved(node);
    book->node_count--;
    memmove(node, node + 1, (book->node_count - at) * sizeof *node);
    json_object_foreach(gone.rooms, name, count)
    {
        add_to_total(book, name, -json_integer_value(count));
        let_look(book, &gone_through);
    }
    discard(book, gone.rooms);
    discard(book, gone.coming);
}

void presence_book_remove(struct presence_book *book, uint32_t node)
{
    pthread_rwlock_wrlock(&book->lock);
    struct presence_node *there = find(book, node);
    if (there) {
        remove_node(book, there);
    }
    pthread_rwlock_unlock(&book->lock);
}

uint64_t presence_book_expiry(const struct presence_book *book)
{
    uint64_t first_ms = UINT64_MAX;
    for (size_t i = 0; i < book->node_count; i++) {
        uint64_t expires_ms = book->nodes[i].expires_ms;
        first_ms = expires_ms < first_ms ? expires_ms : first_ms;
    }
    return first_ms;
}

void presence_book_expire(struct presence_book *book, uint64_t now_ms)
{
    pthread_rwlock_wrlock(&book->lock);
    for (size_t i = book->node_count; i > 0; i--) {
        if (book->nodes[i - 1].expires_ms <= now_ms) {
            atomic_fetch_add(&book->counters->lost, 1);
            remove_node(book, &book->nodes[i - 1]);
        }
    }
    pthread_rwlock_unlock(&book->lock);
}

/* ---- what they say ---- */

/* Whether another figure of the node may be kept beside those; `rooms` of the book are those of
 * other nodes while one is changed. */
static bool has_place(struct presence_book *book, const json_t *rooms)
{
    size_t size = json_object_size(rooms);
    if (book->rooms + size < book->rooms_max && size < PRESENCE_NODE_ROOMS) {
        return true;
    }
    atomic_fetch_add(&book->counters->rooms_over_limit, 1);
    return false;
}

/* Sets the figure of a room among some of a node; *difference is what it changes. */
static enum kj_status set_room(struct presence_book *book, json_t *rooms, const char *name,
                               json_int_t count, json_int_t *difference)
{
    json_int_t before = count_of(rooms, name);
    *difference = 0;
    if (before == 0 && count > 0 && !has_place(book, rooms)) {
        return KJ_OK;
    }
    if (!put(rooms, name, count)) {
        return KJ_ENOMEM;
    }
    *difference = count - before;
    return KJ_OK;
}

static enum kj_status set_rooms(struct presence_book *book, json_t *rooms, const json_t *figures,
                                bool is_in_totals)
{
    enum kj_status status = KJ_OK;
    for (size_t i = 0; !status && i + 1 < json_array_size(figures); i += 2) {
        json_int_t difference;
        const char *name = json_string_value(json_array_get(figures, i));
        status = set_room(book, rooms, name, json_integer_value(json_array_get(figures, i + 1)),
                          &difference);
        if (!status && is_in_totals && !add_to_total(book, name, difference)) {
            status = KJ_ENOMEM;
        }
    }
    return status;
}

/* The figures that came in a whole report take the place of those before, room by room, so that
 * who looks meanwhile finds of each room the one or the other. */
static enum kj_status replace_rooms(struct presence_book *book, struct presence_node *node)
{
    const char *name;
    json_t *count;
    json_t *before = node->rooms;
    size_t gone_through = 0;
    bool is_whole = true;
    json_object_foreach(node->coming, name, count)
    {
        json_int_t difference = json_integer_value(count) - count_of(before, name);
        is_whole = add_to_total(book, name, difference) && is_whole;
        let_look(book, &gone_through);
    }
    json_object_foreach(before, name, count)
    {
        if (!json_object_get(node->coming, name)) {
            is_whole = add_to_total(book, name, -json_integer_value(count)) && is_whole;
        }
        let_look(book, &gone_through);
    }
    node->rooms = node->coming;
    node->coming = NULL;
    node->is_sound = true;
    discard(book, before);
    return is_whole ? KJ_OK : KJ_ENOMEM;
}

static void drop_coming(struct presence_book *book, struct presence_node *node)
{
    json_t *coming = node->coming;
    node->coming = NULL;
    discard(book, coming);
}

static enum kj_status apply_whole(struct presence_book *book, struct presence_node *node,
                                  const struct presence_report *report)
{
    if (report->begins) {
        drop_coming(book, node);
        node->coming = json_object();
        if (!node->coming) {
            return KJ_ENOMEM;
        }
    }
    if (!node->coming) {
        return KJ_OK; /* its beginning was missed */
    }
    enum kj_status status = set_rooms(book, node->coming, report->rooms, false);
    return !status && report->ends ? replace_rooms(book, node) : status;
}

/* Notes what was missed in front of a report. */
static void note_gap(struct presence_book *book, struct presence_node *node,
                     const struct presence_report *report, bool is_new)
{
    if (is_new || report->sequence == node->sequence + 1) {
        return;
    }
    atomic_fetch_add(&book->counters->missed, report->sequence - node->sequence - 1);
    node->is_sound = false;
    drop_coming(book, node);
}

/* Lock held. */
static enum kj_status apply(struct presence_book *book, const struct presence_report *report,
                            uint64_t now_ms, struct presence_effect *effect)
{
    *effect = (struct presence_effect){0};
    enum kj_status status = KJ_OK;
    struct presence_node *node = find(book, report->node);
    if (!node) {
        status = add_node(book, report->node, &node);
        effect->is_new = status == KJ_OK;
    } else if (report->sequence <= node->sequence) {
        status = KJ_EINVAL; /* it comes again, or another speaks for the node */
    }
    if (status) {
        return status;
    }
    book->rooms -= reserved(node);
    note_gap(book, node, report, effect->is_new);
    node->sequence = report->sequence;
    node->clients = report->clients;
    node->users = report->users;
    node->expires_ms = now_ms + (uint64_t)PRESENCE_MISSED * report->interval_ms;
    status = report->is_whole ? apply_whole(book, node, report)
                              : set_rooms(book, node->rooms, report->rooms, true);
    if (status) {
        node->is_sound = false;
        drop_coming(book, node);
    }
    book->rooms += reserved(node);
    effect->is_short = !node->is_sound && !node->coming;
    return status;
}

enum kj_status presence_book_apply(struct presence_book *book, const struct presence_report *report,
                                   uint64_t now_ms, struct presence_effect *effect)
{
    pthread_rwlock_wrlock(&book->lock);
    enum kj_status status = apply(book, report, now_ms, effect);
    pthread_rwlock_unlock(&book->lock);
    return status;
}

/* ---- our own ---- */

static bool note_change(json_t *changes, const char *name, json_int_t count)
{
    return json_array_append_new(changes, json_string(name)) == 0 &&
           json_array_append_new(changes, json_integer(count)) == 0;
}

/* The figure of one room is another; sums and our own change together. */
static bool set_own(struct presence_book *book, const char *name, json_int_t now, json_t *changes)
{
    json_t *own = presence_book_part(book, name)->own;
    json_int_t before = count_of(own, name);
    if (now == before) {
        return true;
    }
    bool is_whole = note_change(changes, name, now);
    is_whole = add_to_total(book, name, now - before) && is_whole;
    return put(own, name, now) && is_whole; /* which may free the name */
}

enum kj_status presence_book_take_own(struct presence_book *book, json_t *rooms, json_t *changes)
{
    const char *name;
    json_t *count;
    void *next;
    size_t gone_through = 0;
    bool is_whole = true;
    pthread_rwlock_wrlock(&book->lock);
    json_object_foreach(rooms, name, count)
    {
        is_whole = set_own(book, name, json_integer_value(count), changes) && is_whole;
        let_look(book, &gone_through);
    }
    for (size_t i = 0; i < PRESENCE_BOOK_PARTS; i++) {
        json_object_foreach_safe(book->parts[i].own, next, name, count)
        {
            if (!json_object_get(rooms, name)) {
                is_whole = set_own(book, name, 0, changes) && is_whole;
            }
            let_look(book, &gone_through);
        }
    }
    pthread_rwlock_unlock(&book->lock);
    json_decref(rooms);
    return is_whole ? KJ_OK : KJ_ENOMEM;
}

json_t *presence_book_list_own(const struct presence_book *book)
{
    const char *name;
    json_t *count;
    json_t *list = json_array();
    for (size_t i = 0; list && i < PRESENCE_BOOK_PARTS; i++) {
        json_object_foreach(book->parts[i].own, name, count)
        {
            json_array_append_new(list, json_string(name));
            json_array_append(list, count);
        }
    }
    return list;
}

/* ---- looked at ---- */

void presence_book_sum(struct presence_book *book, uint64_t now_ms,
                       struct kj_presence_totals *totals)
{
    pthread_rwlock_rdlock(&book->lock);
    for (size_t i = 0; i < book->node_count; i++) {
        const struct presence_node *node = &book->nodes[i];
        if (node->expires_ms > now_ms) { /* else it is about to be forgotten */
            totals->nodes++;
            totals->clients += node->clients;
            totals->users += node->users;
        }
    }
    totals->rooms = 0;
    for (size_t i = 0; i < PRESENCE_BOOK_PARTS; i++) {
        totals->rooms += json_object_size(book->parts[i].totals);
    }
    pthread_rwlock_unlock(&book->lock);
}

void presence_book_add_others(struct presence_book *book, const char *const *rooms, size_t count,
                              uint64_t *clients)
{
    pthread_rwlock_rdlock(&book->lock);
    for (size_t i = 0; i < count; i++) {
        const struct presence_part *part = presence_book_part(book, rooms[i]);
        clients[i] += (uint64_t)(count_of(part->totals, rooms[i]) - count_of(part->own, rooms[i]));
    }
    pthread_rwlock_unlock(&book->lock);
}

/* Of two equal ones the name decides, so that pages do not jump. */
static bool is_before(const struct kj_presence_room *room, uint64_t clients, const char *name)
{
    return room->clients != clients ? room->clients > clients : strcmp(room->name, name) < 0;
}

/* The largest so far, in order. */
struct ranking {
    struct kj_presence_room *rooms;
    size_t count, max;
};

static void rank(struct ranking *ranking, const char *name, uint64_t clients)
{
    struct kj_presence_room *rooms = ranking->rooms;
    size_t max = ranking->max;
    if (ranking->count == max && (max == 0 || is_before(&rooms[max - 1], clients, name))) {
        return;
    }
    size_t at = ranking->count < max ? ranking->count++ : max - 1;
    for (; at > 0 && !is_before(&rooms[at - 1], clients, name); at--) {
        rooms[at] = rooms[at - 1];
    }
    rooms[at].clients = clients;
    memcpy(rooms[at].name, name, strlen(name) + 1); /* valid: not longer */
}

size_t presence_book_top(struct presence_book *book, const char *prefix,
                         struct kj_presence_room *rooms, size_t max)
{
    const char *name;
    json_t *value;
    struct ranking ranking = {.rooms = rooms, .max = max};
    size_t prefix_len = prefix ? strlen(prefix) : 0;
    for (size_t i = 0; i < PRESENCE_BOOK_PARTS; i++) {
        pthread_rwlock_rdlock(&book->lock);
        json_object_foreach(book->parts[i].totals, name, value)
        {
            if (!prefix_len || strncmp(name, prefix, prefix_len) == 0) {
                rank(&ranking, name, (uint64_t)json_integer_value(value));
            }
        }
        pthread_rwlock_unlock(&book->lock);
    }
    return ranking.count;
}
