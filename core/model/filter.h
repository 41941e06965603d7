/* filter.h - the filter language of `q` and of push configs: read once, asked for every entity.
 *
 * The grammar is elemental's (docs/filters.md has all of it):
 *
 *     name == "x" and (priority >= 3 or labels contains ["urgent"]) and title matches "^re:"
 *
 * `and` and `or` have no precedence: when the conjunction changes, everything so far becomes one
 * group. Everything is bounded: the text, the depth, the comparisons, the lists, and what one
 * evaluation may cost, since anyone who may subscribe may send one.
 *
 * Patterns run on RE2: its syntax is the one Go's clients write, and its time is linear in the
 * text by construction. A backtracking engine with a limit on its steps (PCRE2) is bounded only
 * per starting point: `a+[bc]d` took 1.2 s on 64 KiB of `a` under a limit of 100 steps, without
 * reaching it. The worst evaluation found here takes 3 ms, an ordinary one 0.1 us.
 *
 * Threads: a filter is immutable and reference counted, and any number of threads may evaluate
 * one at once; a round belongs to one thread.
 */
#ifndef KJ_MODEL_FILTER_H
#define KJ_MODEL_FILTER_H

#include <jansson.h>
#include <kujata/error.h>
#include <kujata/filter.h>
#include <kujata/model.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KJ__FILTER_TEXT_MAX = 4096,
    KJ__FILTER_DEPTH_MAX = 32, /* parentheses in parentheses */
    KJ__FILTER_COMPARISONS_MAX = 128,
    KJ__FILTER_LIST_MAX = 256,    /* values of one list */
    KJ__FILTER_PATTERNS_MAX = 8,  /* of `matches`, in one filter */
    KJ__FILTER_PATTERN_MAX = 512, /* bytes of one pattern */
    KJ__FILTER_WORK_MAX = 65536,  /* steps of one evaluation; one is about a comparison's worth */
};

/* Which comparators a text may have. */
enum kj__filter_dialect {
    KJ__FILTER_FULL, /* `q`: every one */
    KJ__FILTER_PUSH, /* push configs: == != matches exists, not exists, as bahamut has it */
};

/* Reads a text, which needs no terminator. With `error` (may be NULL) filled, its position the
 * byte where the fault is: KJ_EPARSE for what is not a filter, KJ_EUNSUPPORTED for a comparator
 * the dialect lacks, KJ_ELIMIT beyond one of the bounds; or KJ_ENOMEM. Texts that bahamut has
 * are bahamut's ("invalid value. found EOF").                               [any thread] */
enum kj_status kj__filter_parse(const char *text, size_t len, enum kj__filter_dialect dialect,
                                struct kj_filter **filter, struct kj_error *error);

/* The same for the filter of a push config, with the whole text its sender is to see:
 *
 *     unable to parse identity filters: elemental: unable to parse filter "name ==": invalid
 *     value. found EOF
 *
 * It is the description of an error event whose `data` is {"pushconfig": "filters"}; a client
 * without enableErrors is closed with 1003. A long filter is quoted in part. */
enum kj_status kj__filter_parse_push(const char *text, size_t len, struct kj_filter **filter,
                                     struct kj_error *error);

/* The canonical text, which parses to the same filter and lives as long as it. Filters whose
 * texts differ in blanks, quotes or needless parentheses only have the same one, so it is what to
 * intern by. It holds no NUL, and may be longer than what was parsed. */
const char *kj__filter_text(const struct kj_filter *filter, size_t *len);

/* A hash of the canonical text, different in every process. */
uint64_t kj__filter_hash(const struct kj_filter *filter);

/* Whether the answer changes with time alone: the filter has now(). */
bool kj__filter_is_relative(const struct kj_filter *filter);

/* Bytes it holds, those of compiled patterns included; for bounding what one peer holds. */
size_t kj__filter_size(const struct kj_filter *filter);

/* What evaluations share: make one per event, or per list of objects. */
struct kj__filter_round {
    int64_t now_ns; /* nanoseconds since 1970; what now() is */
    uint64_t cut;   /* grows by one for each evaluation that was given up */
};

/* Whether an entity matches. It is the object that kj_event_entity gives, decoded once per event
 * and shared by all threads, or any object of a store; NULL, for one that could not be decoded,
 * matches nothing. An evaluation that would take more than KJ__FILTER_WORK_MAX is given up: no
 * match, and counted in `round`. Nothing is allocated but inside RE2, within its budget; want of
 * memory there is the other reason to give up.
 *
 * A constant is converted to the type of the value it meets; what cannot be converted is not equal
 * and in no order. On a list, a comparison holds when it does for any item. An absent member, and
 * null, equal nothing, so `!=`, `not in` and `not contains` hold. docs/filters.md has the table. */
bool kj__filter_matches(const struct kj_filter *filter, const json_t *entity,
                        struct kj__filter_round *round);

/* How many evaluations by kj_filter_matches, which has no round, were given up.   [any thread] */
uint64_t kj__filter_cut(const struct kj_filter *filter);

/* For an index: a member that must equal one of some constants for the filter to match, which is
 * so when `member == constant` or `member in [constants]` stands in the outermost conjunction.
 * Keys are hashes: equal values have equal keys, unequal ones most often not, so an index finds
 * candidates, and kj__filter_matches decides. */
struct kj__filter_key {
    const char *member;     /* borrowed from the filter; may be a path with dots */
    const uint64_t *hashes; /* likewise; sorted, none twice */
    size_t count;           /* at most KJ__FILTER_LIST_MAX; 0: nothing matches */
};

/* False when the filter has none; it must then be tried on every entity. Of several the first
 * with the fewest constants. */
bool kj__filter_key(const struct kj_filter *filter, struct kj__filter_key *key);

/* Calls `visit` with the key of the member's value, or of each item when it is a list; not at all
 * for what equals no constant. The same key may come twice.                 [any thread] */
void kj__filter_visit_keys(const json_t *entity, const char *member,
                           void (*visit)(uint64_t hash, void *ctx), void *ctx);

/* Whether a filter makes sense for an identity: its members are attributes, none of them secret,
 * and each constant can be converted to the attribute's type. KJ_EINVAL with `error` naming
 * attribute and constant, and its position the byte where the one at fault is. Members below an
 * attribute of type object are not looked at. */
enum kj_status kj__filter_check(const struct kj_filter *filter, const struct kj_identity *identity,
                                struct kj_error *error);

#endif
