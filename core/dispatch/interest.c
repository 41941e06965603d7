/* interest.c - see interest.h. */
#include "dispatch/interest.h"

#include "base/buffer.h"
#include "dispatch/message.h"

#include <stdlib.h>
#include <string.h>

/* Of all compiled filters of one config: a message of 64 KiB can hold texts that take megabytes. */
enum { FILTERS_SIZE_MAX = 1 << 20 };

void kj__interests_init(struct kj__interests *interests, size_t shard_count,
                        struct kj__counters *counters)
{
    *interests = (struct kj__interests){.shard_count = shard_count, .counters = counters};
    pthread_mutex_init(&interests->lock, NULL);
    kj__map_init(&interests->by_key);
}

void kj__interests_fini(struct kj__interests *interests)
{
    kj__map_fini(&interests->by_key, NULL);
    free(interests->free_numbers);
    pthread_mutex_destroy(&interests->lock);
}

/* ---- the canonical text of a config ---- */

static int by_identity(const void *a, const void *b)
{
    const struct kj__push_config_entry *first = a;
    const struct kj__push_config_entry *second = b;
    return strcmp(first->identity, second->identity);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* With its length, since a peer may put any byte into it. */
static void append_counted(struct kj__buffer *key, char mark, const char *text)
{
    kj__buffer_printf(key, "%c%zu:", mark, strlen(text));
    kj__buffer_append_text(key, text);
}

/* The event types, sorted and each once. */
static bool append_types(struct kj__buffer *key, const struct kj__push_config_entry *entry)
{
    const char **types = malloc((entry->type_count + 1) * sizeof *types);
    if (!types) {
        return false;
    }
    const char *type = entry->types;
    for (size_t i = 0; i < entry->type_count; i++) {
        types[i] = type;
        type += strlen(type) + 1;
    }
    qsort(types, entry->type_count, sizeof *types, by_text);
    for (size_t i = 0; i < entry->type_count; i++) {
        if (i == 0 || strcmp(types[i], types[i - 1]) != 0) {
            append_counted(key, 't', types[i]);
        }
    }
    free(types);
    return true;
}

static const char *filter_text(const struct kj__interest *interest, const char *identity)
{
    for (size_t i = 0; i < interest->filter_count; i++) {
        if (strcmp(interest->filters[i].identity, identity) == 0) {
            size_t len;
            return kj__filter_text(interest->filters[i].filter, &len);
        }
    }
    return NULL;
}

static bool append_entry(struct kj__buffer *key, const struct kj__interest *interest,
                         const struct kj__push_config_entry *entry)
{
    append_counted(key, 'i', entry->identity);
    const char *filter = filter_text(interest, entry->identity);
    if (filter) {
        append_counted(key, 'f', filter);
    }
    return append_types(key, entry);
}

static char *make_key(const struct kj__interest *interest)
{
    size_t count = kj__push_config_count(interest->config);
    struct kj__push_config_entry *entries = calloc(count + 1, sizeof *entries);
    if (!entries) {
        return NULL;
    }
    const void *cursor = NULL;
    for (size_t i = 0; i < count; i++) {
        kj__push_config_next(interest->config, &cursor, &entries[i]);
    }
    qsort(entries, count, sizeof *entries, by_identity);
    struct kj__buffer key;
    kj__buffer_init(&key);
    bool is_whole = true;
    for (size_t i = 0; i < count; i++) {
        is_whole &= append_entry(&key, interest, &entries[i]);
    }
    free(entries);
    kj__buffer_append_byte(&key, '\0');
    if (!is_whole || key.failed) {
        kj__buffer_fini(&key);
        return NULL;
    }
    size_t len;
    return (char *)kj__buffer_take(&key, &len);
}

/* ---- one interest ---- */

static void interest_free(struct kj__interest *interest)
{
    for (size_t i = 0; i < interest->filter_count; i++) {
        kj_filter_unref(interest->filters[i].filter);
    }
    free(interest->filters);
    free(interest->key);
    kj_push_config_free(interest->config);
    free(interest);
}

static enum kj_status parse_filters(struct kj__interest *interest, struct kj_error *error)
{
    struct kj__push_config_entry entry;
    size_t count = 0;
    size_t size = 0;
    for (const void *cursor = NULL; kj__push_config_next(interest->config, &cursor, &entry);) {
        count += entry.filter != NULL;
    }
    if (count == 0) {
        return KJ_OK;
    }
    interest->filters = calloc(count, sizeof *interest->filters);
    if (!interest->filters) {
        return KJ_ENOMEM;
    }
    for (const void *cursor = NULL; kj__push_config_next(interest->config, &cursor, &entry);) {
        struct kj_filter *filter;
        if (entry.filter) {
            enum kj_status status = kj__filter_parse_push(entry.filter, strlen(entry.filter),
                                                          &filter, error);
            if (status) {
                return status == KJ_ENOMEM || status == KJ_ELIMIT ? status : KJ_EINVAL;
            }
            interest->filters[interest->filter_count++] = (struct kj__interest_filter){
                .identity = entry.identity, .filter = filter};
            size += kj__filter_size(filter);
            if (size > FILTERS_SIZE_MAX) {
                kj_error_set(error, 0, "push config: its filters take more than %d bytes",
                             FILTERS_SIZE_MAX);
                return KJ_ELIMIT;
            }
        }
    }
    return KJ_OK;
}

static enum kj_status interest_new_take(struct kj__interests *interests,
                                        struct kj_push_config *config,
                                        struct kj__interest **interest, struct kj_error *error)
{
    *interest = calloc(1, sizeof **interest + interests->shard_count * sizeof(struct kj__row *));
    if (!*interest) {
        kj_push_config_free(config);
        return KJ_ENOMEM;
    }
    kj__push_config_drop_parameters(config);
    (*interest)->interests = interests;
    (*interest)->config = config;
    (*interest)->number = KJ__NO_VERDICT;
    (*interest)->refs = 1;
    enum kj_status status = parse_filters(*interest, error);
    if (!status) {
        (*interest)->key = make_key(*interest);
        status = (*interest)->key ? KJ_OK : KJ_ENOMEM;
    }
    if (status) {
        interest_free(*interest);
        *interest = NULL;
    }
    return status;
}

/* ---- the table ---- */

/* Lock held. Room to give the number back is made here, where it may fail. */
static bool take_number(struct kj__interests *interests, uint32_t *number)
{
    if (interests->free_count > 0) {
        *number = interests->free_numbers[--interests->free_count];
        return true;
    }
    uint32_t count = atomic_load_explicit(&interests->number_count, memory_order_relaxed);
    if (count == interests->free_capacity) {
        size_t capacity = count ? (size_t)count * 2 : 16;
        uint32_t *numbers = realloc(interests->free_numbers, capacity * sizeof *numbers);
        if (!numbers) {
            return false;
        }
        interests->free_numbers = numbers;
        interests->free_capacity = capacity;
    }
    *number = count;
    atomic_store_explicit(&interests->number_count, count + 1, memory_order_relaxed);
    return true;
}

/* Lock held: adds the new one, unless its like is there. */
static enum kj_status intern(struct kj__interests *interests, struct kj__interest *made,
                             struct kj__interest **interest)
{
    *interest = kj__map_get(&interests->by_key, made->key);
    if (*interest) {
        (*interest)->refs++;
        return KJ_OK;
    }
    if (made->filter_count > 0 && !take_number(interests, &made->number)) {
        return KJ_ENOMEM;
    }
    made->serial = ++interests->last_serial;
    if (!kj__map_put(&interests->by_key, made->key, made, NULL)) {
        if (made->number != KJ__NO_VERDICT) {
            interests->free_numbers[interests->free_count++] = made->number;
        }
        return KJ_ENOMEM;
    }
    *interest = made;
    KJ__COUNT(interests->counters, interests);
    return KJ_OK;
}

enum kj_status kj__interests_get_take(struct kj__interests *interests,
                                      struct kj_push_config *config, struct kj__interest **interest,
                                      struct kj_error *error)
{
    *interest = NULL;
    struct kj__interest *made;
    enum kj_status status = interest_new_take(interests, config, &made, error);
    if (status) {
        return status;
    }
    pthread_mutex_lock(&interests->lock);
    status = intern(interests, made, interest);
    pthread_mutex_unlock(&interests->lock);
    if (*interest != made) {
        interest_free(made);
    }
    return status;
}

struct kj__interest *kj__interest_ref(struct kj__interest *interest)
{
    pthread_mutex_lock(&interest->interests->lock);
    interest->refs++;
    pthread_mutex_unlock(&interest->interests->lock);
    return interest;
}

void kj__interest_unref(struct kj__interest *interest)
{
    if (!interest) {
        return;
    }
    struct kj__interests *interests = interest->interests;
    pthread_mutex_lock(&interests->lock);
    bool is_last = --interest->refs == 0;
    if (is_last) {
        kj__map_remove(&interests->by_key, interest->key);
        if (interest->number != KJ__NO_VERDICT) {
            interests->free_numbers[interests->free_count++] = interest->number;
        }
        KJ__UNCOUNT(interests->counters, interests);
    }
    pthread_mutex_unlock(&interests->lock);
    if (is_last) {
        interest_free(interest);
    }
}

/* ---- what it says of an event ---- */

static bool filter_matches(const struct kj__interest *interest, struct kj__message *message,
                           const char *identity)
{
    for (size_t i = 0; i < interest->filter_count; i++) {
        if (strcmp(interest->filters[i].identity, identity) == 0) {
            struct kj__filter_round round = {.now_ns = message->received_ns};
            bool matches = kj__filter_matches(interest->filters[i].filter,
                                              kj_event_entity(message->event), &round);
            KJ__COUNT(message->counters, filters_evaluated);
            KJ__COUNT_BY(message->counters, filters_cut, round.cut);
            return matches;
        }
    }
    return true;
}

static bool wants_as(const struct kj__interest *interest, struct kj__message *message,
                     const char *identity)
{
    return kj_push_config_wants(interest->config, identity, kj_event_type(message->event)) &&
           filter_matches(interest, message, identity);
}

static bool work_out(const struct kj__interest *interest, struct kj__message *message)
{
    if (wants_as(interest, message, kj_event_identity(message->event))) {
        return true;
    }
    for (const char *const *name = message->related; name && *name; name++) {
        if (wants_as(interest, message, *name)) {
            return true;
        }
    }
    return false;
}

bool kj__interest_wants(const struct kj__interest *interest, struct kj__message *message)
{
    if (interest->number >= message->verdict_count) {
        return work_out(interest, message); /* no filters, or newer than the message */
    }
    /* Numbers are given out again while messages wait; serials are not. */
    _Atomic uint64_t *verdict = &message->verdicts[interest->number];
    uint64_t known = atomic_load_explicit(verdict, memory_order_relaxed);
    if (known >> 1 == interest->serial) {
        return known & 1;
    }
    bool wants = work_out(interest, message);
    atomic_store_explicit(verdict, interest->serial << 1 | wants, memory_order_relaxed);
    return wants;
}
