/* presence_book.c - see presence.h: what each node has said, and the sums of it. */
#include "handlers/presence.h"

#include <stdlib.h>
#include <string.h>

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

static bool add_to_total(struct presence_book *book, const char *name, json_int_t difference)
{
    return difference == 0 || put(book->totals, name, count_of(book->totals, name) + difference);
}

/* ---- nodes ---- */

bool presence_book_init(struct presence_book *book, const struct kj_presence_options *options,
                        struct presence_counters *counters)
{
    *book = (struct presence_book){.counters = counters,
                                   .nodes_max = options->nodes,
                                   .rooms_max = options->rooms,
                                   .nodes = calloc(options->nodes, sizeof *book->nodes),
                                   .own_rooms = json_object(),
                                   .totals = json_object()};
    return book->nodes && book->own_rooms && book->totals;
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
    free(book->nodes);
    json_decref(book->own_rooms);
    json_decref(book->totals);
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

/* Takes figures out of the sums. */
static void forget_rooms(struct presence_book *book, json_t *rooms)
{
    const char *name;
    json_t *count;
    json_object_foreach(rooms, name, count)
    {
        add_to_total(book, name, -json_integer_value(count));
    }
}

/* The figures it may hold: those of a report that replaces others need no place of their own. */
static size_t reserved(const struct presence_node *node)
{
    size_t there = json_object_size(node->rooms);
    size_t coming = json_object_size(node->coming);
    return there > coming ? there : coming;
}

static void remove_node(struct presence_book *book, struct presence_node *node)
{
    size_t at = (size_t)(node - book->nodes);
    forget_rooms(book, node->rooms);
    book->rooms -= reserved(node);
    node_fini(node);
    book->node_count--;
    memmove(node, node + 1, (book->node_count - at) * sizeof *node);
}

void presence_book_remove(struct presence_book *book, uint32_t node)
{
    struct presence_node *there = find(book, node);
    if (there) {
        remove_node(book, there);
    }
}

void presence_book_expire(struct presence_book *book, uint64_t now_ms)
{
    for (size_t i = book->node_count; i > 0; i--) {
        if (book->nodes[i - 1].expires_ms <= now_ms) {
            atomic_fetch_add(&book->counters->lost, 1);
            remove_node(book, &book->nodes[i - 1]);
        }
    }
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

/* The figures that came in a whole report take the place of those before. */
static enum kj_status replace_rooms(struct presence_book *book, struct presence_node *node)
{
    const char *name;
    json_t *count;
    enum kj_status status = KJ_OK;
    forget_rooms(book, node->rooms);
    json_decref(node->rooms);
    node->rooms = node->coming;
    node->coming = NULL;
    json_object_foreach(node->rooms, name, count)
    {
        if (!add_to_total(book, name, json_integer_value(count))) {
            status = KJ_ENOMEM;
        }
    }
    node->is_sound = true;
    return status;
}

static void drop_coming(struct presence_node *node)
{
    json_decref(node->coming);
    node->coming = NULL;
}

static enum kj_status apply_whole(struct presence_book *book, struct presence_node *node,
                                  const struct presence_report *report)
{
    if (report->begins) {
        drop_coming(node);
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
    drop_coming(node);
}

enum kj_status presence_book_apply(struct presence_book *book, const struct presence_report *report,
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
        drop_coming(node);
    }
    book->rooms += reserved(node);
    effect->is_short = !node->is_sound && !node->coming;
    return status;
}

/* ---- our own ---- */

static bool note_change(json_t *changes, const char *name, json_int_t count)
{
    return json_array_append_new(changes, json_string(name)) == 0 &&
           json_array_append_new(changes, json_integer(count)) == 0;
}

enum kj_status presence_book_take_own(struct presence_book *book, json_t *rooms, json_t *changes)
{
    const char *name;
    json_t *count;
    bool is_whole = true;
    json_object_foreach(rooms, name, count)
    {
        json_int_t now = json_integer_value(count);
        json_int_t before = count_of(book->own_rooms, name);
        if (now != before) {
            is_whole = note_change(changes, name, now) && is_whole;
            is_whole = add_to_total(book, name, now - before) && is_whole;
        }
    }
    json_object_foreach(book->own_rooms, name, count)
    {
        if (!json_object_get(rooms, name)) {
            is_whole = note_change(changes, name, 0) && is_whole;
            is_whole = add_to_total(book, name, -json_integer_value(count)) && is_whole;
        }
    }
    json_decref(book->own_rooms);
    book->own_rooms = rooms;
    return is_whole ? KJ_OK : KJ_ENOMEM;
}

/* ---- the largest ---- */

/* Of two equal ones the name decides, so that pages do not jump. */
static bool is_before(const struct kj_presence_room *room, uint64_t clients, const char *name)
{
    return room->clients != clients ? room->clients > clients : strcmp(room->name, name) < 0;
}

size_t presence_book_top(const struct presence_book *book, const char *prefix,
                         struct kj_presence_room *rooms, size_t max)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    size_t prefix_len = prefix ? strlen(prefix) : 0;
    json_object_foreach(book->totals, name, value)
    {
        uint64_t clients = (uint64_t)json_integer_value(value);
        if ((prefix_len && strncmp(name, prefix, prefix_len) != 0) ||
            (count == max && (max == 0 || is_before(&rooms[max - 1], clients, name)))) {
            continue;
        }
        size_t at = count < max ? count++ : max - 1;
        for (; at > 0 && !is_before(&rooms[at - 1], clients, name); at--) {
            rooms[at] = rooms[at - 1];
        }
        rooms[at].clients = clients;
        memcpy(rooms[at].name, name, strlen(name) + 1); /* valid: not longer */
    }
    return count;
}
