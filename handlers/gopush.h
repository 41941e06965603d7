/* gopush.h - what the files of go-push's protocol share. */
#ifndef KJ_HANDLERS_GOPUSH_H
#define KJ_HANDLERS_GOPUSH_H

#include <kujata/gopush.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Member, name, help. */
#define GOPUSH_COUNTER_MAP(X)                                                                      \
    X(requests, "gopush_requests_total", "Pushes asked for by forms of go-push.")                  \
    X(refused, "gopush_requests_refused_total",                                                    \
      "Forms of go-push that name nobody, or hold no list of items in JSON.")                      \
    X(room_items, "gopush_room_items_total", "Items of go-push for rooms.")                        \
    X(all_items, "gopush_all_items_total", "Items of go-push for all.")                            \
    X(session_items, "gopush_session_items_total", "Items of go-push for one client.")             \
    X(room_failed, "gopush_room_items_failed_total", "Items of go-push for rooms not published.")  \
    X(all_failed, "gopush_all_items_failed_total", "Items of go-push for all not published.")      \
    X(session_failed, "gopush_session_items_failed_total",                                         \
      "Items of go-push for one client not published.")

struct gopush_counters {
#define GOPUSH_COUNTER_MEMBER(member, name, help) _Atomic uint64_t member;
    GOPUSH_COUNTER_MAP(GOPUSH_COUNTER_MEMBER)
#undef GOPUSH_COUNTER_MEMBER
};

struct kj_gopush {
    struct kj_gopush_options options;
    struct kj_server *server;    /* of the routes; NULL: there are none */
    _Atomic int64_t next_line_s; /* when the next line may be logged, by the monotonic clock */
    struct gopush_counters counters;
};

/* One item of a list, as it was written. */
struct gopush_item {
    const uint8_t *text;
    size_t len;
};

/* Cuts a JSON list into its items; *items is the caller's. KJ_EPARSE for anything that is no list
 * of JSON and nothing else, KJ_ELIMIT for one that nests too deep or has too many values,
 * KJ_ENOMEM. */
enum kj_status gopush_items_cut(const uint8_t *text, size_t len, struct gopush_item **items,
                                size_t *count);

#endif
