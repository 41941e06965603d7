/* roster.c - see roster.h. */
#include "dispatch/roster.h"

#include "dispatch/protocol.h"

#include <stdlib.h>

void kj__roster_init(struct kj__roster *roster, struct kj__shard *shard, size_t index,
                     struct kj__interest *everything)
{
    *roster = (struct kj__roster){.shard = shard, .index = index, .everything = everything};
    kj__row_index_init(&roster->of_everything.keyed);
    kj__map_init(&roster->by_identity);
    kj__list_init(&roster->empty);
}

/* ---- sets of rows ---- */

static bool set_add(struct kj__row_set *set, struct kj__row *row)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 4;
        struct kj__row **rows = realloc(set->rows, capacity * sizeof(struct kj__row *));
        if (!rows) {
            return false;
        }
        set->rows = rows;
        set->capacity = capacity;
    }
    set->rows[set->count++] = row;
    return true;
}

static void set_remove(struct kj__row_set *set, const struct kj__row *row)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->rows[i] == row) {
            set->rows[i] = set->rows[--set->count];
            return;
        }
    }
}

static void set_free(void *value)
{
    struct kj__row_set *set = value;
    kj__row_index_fini(&set->keyed);
    free(set->rows);
    free(set);
}

/* The set of an identity, made when it is the first to name it. */
static struct kj__row_set *set_of(struct kj__roster *roster, const char *identity)
{
    struct kj__row_set *set = kj__map_get(&roster->by_identity, identity);
    if (!set) {
        set = calloc(1, sizeof *set);
        if (set && !kj__map_put(&roster->by_identity, identity, set, NULL)) {
            free(set);
            return NULL;
        }
        if (set) {
            kj__row_index_init(&set->keyed);
        }
    }
    return set;
}

/* ---- rows ---- */

/* What the filter of the next identity of a config is found by; false without any. The filters
 * of an interest are in the order of its config. */
static bool next_key(const struct kj__interest *interest, const struct kj__push_config_entry *entry,
                     size_t *filter_at, struct kj__filter_key *key)
{
    return entry->filter && kj__filter_key(interest->filters[(*filter_at)++].filter, key);
}

/* Takes a row out of every set it is in. */
static void unlist(struct kj__roster *roster, const struct kj__row *row)
{
    struct kj__push_config_entry entry;
    struct kj__filter_key key;
    size_t filter_at = 0;
    set_remove(&roster->of_everything, row);
    for (const void *at = NULL; kj__push_config_next(row->interest->config, &at, &entry);) {
        struct kj__row_set *set = kj__map_get(&roster->by_identity, entry.identity);
        bool is_keyed = next_key(row->interest, &entry, &filter_at, &key);
        if (set) {
            if (is_keyed) {
                kj__row_index_remove(&set->keyed, &key, row);
            } else {
                set_remove(set, row);
            }
            if (set->count == 0 && kj__row_index_is_empty(&set->keyed)) {
                set_free(kj__map_remove(&roster->by_identity, entry.identity));
            }
        }
    }
}

static bool list(struct kj__roster *roster, struct kj__row *row)
{
    struct kj__push_config_entry entry;
    struct kj__filter_key key;
    size_t filter_at = 0;
    if (kj__push_config_count(row->interest->config) == 0) {
        return set_add(&roster->of_everything, row);
    }
    for (const void *at = NULL; kj__push_config_next(row->interest->config, &at, &entry);) {
        struct kj__row_set *set = set_of(roster, entry.identity);
        bool is_keyed = next_key(row->interest, &entry, &filter_at, &key);
        if (!set || !(is_keyed ? kj__row_index_add(&set->keyed, &key, row) : set_add(set, row))) {
            return false;
        }
    }
    return true;
}

/* NULL: there are no sessions with this form. */
static struct kj__audience *audience_of(struct kj__row *row, uint32_t form)
{
    if (form < KJ_ENCODING_COUNT) {
        return &row->audiences[form];
    }
    return row->numbered ? &row->numbered[form - KJ_ENCODING_COUNT] : NULL;
}

/* The same, made when it is the first. NULL when there is no memory. */
static struct kj__audience *get_audience(struct kj__roster *roster, struct kj__row *row,
                                         uint32_t form)
{
    if (form >= KJ_ENCODING_COUNT && !row->numbered) {
        row->numbered = calloc(KJ_ENCODING_COUNT, sizeof *row->numbered);
        for (size_t i = 0; row->numbered && i < KJ_ENCODING_COUNT; i++) {
            kj__audience_init(&row->numbered[i], roster->shard);
        }
    }
    return audience_of(row, form);
}

static void row_free(struct kj__roster *roster, struct kj__row *row)
{
    unlist(roster, row);
    kj__list_unlink(&row->empty_link);
    for (uint32_t form = 0; form < KJ__FORM_COUNT; form++) {
        struct kj__audience *audience = audience_of(row, form);
        if (audience) {
            kj__audience_fini(audience);
        }
    }
    free(row->numbered);
    row->interest->rows[roster->index] = NULL;
    kj__interest_unref(row->interest);
    free(row);
}

static struct kj__row *row_new(struct kj__roster *roster, struct kj__interest *interest)
{
    struct kj__row *row = calloc(1, sizeof *row);
    if (!row) {
        return NULL;
    }
    row->interest = kj__interest_ref(interest);
    row->newest_start_ns = INT64_MIN;
    interest->rows[roster->index] = row;
    kj__list_init(&row->empty_link);
    for (size_t i = 0; i < KJ_ENCODING_COUNT; i++) {
        kj__audience_init(&row->audiences[i], roster->shard);
    }
    if (!list(roster, row)) {
        row_free(roster, row);
        return NULL;
    }
    return row;
}

/* A flush may be going through an audience whose last member has just left. */
static bool may_free(struct kj__row *row)
{
    bool may = true;
    for (uint32_t form = 0; form < KJ__FORM_COUNT; form++) {
        const struct kj__audience *audience = audience_of(row, form);
        may &= !audience || (audience->count == 0 && !kj__audience_is_flushing(audience));
    }
    return may;
}

static void free_empty_rows(struct kj__roster *roster)
{
    struct kj__list kept;
    kj__list_init(&kept);
    while (!kj__list_is_empty(&roster->empty)) {
        struct kj__row *row = KJ__CONTAINER_OF(roster->empty.next, struct kj__row, empty_link);
        if (may_free(row)) {
            row_free(roster, row);
        } else {
            kj__list_unlink(&row->empty_link);
            kj__list_append(&kept, &row->empty_link);
        }
    }
    kj__list_move(&kept, &roster->empty);
}

void kj__roster_fini(struct kj__roster *roster)
{
    free_empty_rows(roster);
    kj__map_fini(&roster->by_identity, set_free);
    free(roster->of_everything.rows);
}

/* ---- sessions ---- */

bool kj__roster_enter(struct kj__roster *roster, struct kj_session *session)
{
    free_empty_rows(roster);
    struct kj__interest *interest = session->interest ? session->interest : roster->everything;
    struct kj__row *row = interest->rows[roster->index];
    if (!row && !(row = row_new(roster, interest))) {
        return false;
    }
    struct kj__audience *audience = get_audience(roster, row, kj__session_form(session));
    if (!audience || !kj__audience_seat(audience, &session->seat, &session->connection)) {
        if (kj__list_is_empty(&row->empty_link) && may_free(row)) {
            kj__list_append(&roster->empty, &row->empty_link);
        }
        return false;
    }
    kj__list_unlink(&row->empty_link);
    if (!session->wants_seq && session->start_ns > row->newest_start_ns) {
        row->newest_start_ns = session->start_ns;
    }
    return true;
}

void kj__roster_leave(struct kj__roster *roster, struct kj_session *session)
{
    kj__seat_leave(&session->seat);
    const struct kj__interest *interest = session->interest ? session->interest
                                                            : roster->everything;
    struct kj__row *row = interest->rows[roster->index];
    bool is_empty = row != NULL;
    for (uint32_t form = 0; is_empty && form < KJ__FORM_COUNT; form++) {
        const struct kj__audience *audience = audience_of(row, form);
        is_empty = !audience || audience->count == 0;
    }
    if (is_empty && kj__list_is_empty(&row->empty_link)) {
        kj__list_append(&roster->empty, &row->empty_link);
    }
}

/* ---- messages ---- */

static struct kj_session *session_at(const struct kj__audience *audience, size_t index)
{
    return kj__session_of(audience->members[index].seat->connection);
}

/* One session at a time: the handler has a say for each, or not all may have the event. Returns how
 * many have it. */
static size_t deliver_one_by_one(struct kj__audience *audience, struct kj__message *message)
{
    size_t heard = 0;
    /* Backwards, since a session that is closed swaps places with the last. */
    for (size_t i = audience->count; i > 0; i--) {
        heard += kj__events_offer(session_at(audience, i - 1), message);
    }
    return heard;
}

static bool deliver_to_all(struct kj__audience *audience, struct kj__message *message,
                           uint32_t form)
{
    struct kj__out_frame *frame = kj__message_frame(message, form);
    bool is_appended = frame && kj__audience_append(audience, frame);
    if (!is_appended) {
        audience->shard->tally.events_queued += audience->count;
        KJ__COUNT_BY(message->counters, dropped_no_memory, audience->count);
    }
    return is_appended;
}

/* The same as one by one, where most have the event: theirs are shared writes, as of those who are
 * not asked, and it is taken back from the others. */
static size_t deliver_to_most(struct kj__audience *audience, struct kj__message *message,
                              uint32_t form)
{
    size_t heard = 0;
    if (!deliver_to_all(audience, message, form)) {
        return 0;
    }
    for (size_t i = audience->count; i > 0; i--) {
        struct kj_session *session = session_at(audience, i - 1);
        if (kj__events_admits(session, message)) {
            heard++;
        } else {
            kj__seat_skip(&session->seat, 1);
        }
    }
    return heard;
}

static void deliver_to_some(struct kj__row *row, struct kj__audience *audience,
                            struct kj__message *message, uint32_t form)
{
    size_t asked = audience->count;
    size_t heard = row->most_hear ? deliver_to_most(audience, message, form)
                                  : deliver_one_by_one(audience, message);
    row->most_hear = 2 * heard >= asked;
}

static void deliver_to_row(struct kj__row *row, struct kj__message *message)
{
    bool is_seen = row->seen == message->serial; /* by another of the names it goes by */
    row->seen = message->serial;
    if (is_seen || !kj__interest_wants(row->interest, message)) {
        return;
    }
    bool is_for_all = !message->handler->should_dispatch &&
                      kj_event_timestamp_ns(message->event) >= row->newest_start_ns;
    for (uint32_t form = 0; form < KJ__FORM_COUNT; form++) {
        struct kj__audience *audience = audience_of(row, form);
        if (!audience || audience->count == 0) {
            continue;
        }
        if (is_for_all) {
            deliver_to_all(audience, message, form);
        } else {
            deliver_to_some(row, audience, message, form);
        }
    }
}

static void deliver_to_candidate(struct kj__row *row, void *ctx)
{
    deliver_to_row(row, ctx);
}

static void deliver_to_set(const struct kj__row_set *set, struct kj__message *message)
{
    /* Sessions may be closed meanwhile, which leaves their rows where they are. */
    for (size_t i = set ? set->count : 0; i > 0; i--) {
        deliver_to_row(set->rows[i - 1], message);
    }
    if (set && !kj__row_index_is_empty(&set->keyed)) {
        kj__row_index_visit(&set->keyed, kj_event_entity(message->event), deliver_to_candidate,
                            message);
    }
}

void kj__roster_deliver(struct kj__roster *roster, struct kj__message *message)
{
    const struct kj__map *map = &roster->by_identity;
    free_empty_rows(roster);
    deliver_to_set(&roster->of_everything, message);
    deliver_to_set(kj__map_get(map, kj_event_identity(message->event)), message);
    for (const char *const *name = message->related; name && *name; name++) {
        deliver_to_set(kj__map_get(map, *name), message);
    }
}
