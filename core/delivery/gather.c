/* gather.c - see gather.h. */
#include "delivery/gather.h"

#include "base/clock.h"
#include "delivery/delivery.h"

#include <time.h>

enum {
    GATHER_MEMBERS = 128, /* to be written to, before it pays to look for more jobs first */
    GATHER_TURNS = 16,
    /* Of the time the last flush took, a quarter. With an eighth, eight events under way to 1,000
     * fell apart into groups, and a write had 6.4 of them; with a quarter or a half it has 7.9. */
    WAIT_PART = 4,
    NAP_NS = 100000,
};

/* Whether many members are to be written to, about. There may be thousands of small audiences. */
static bool are_many_behind(const struct kj__shard *shard)
{
    size_t members = 0;
    for (const struct kj__list *link = shard->behind.next;
         link != &shard->behind && members < GATHER_MEMBERS; link = link->next) {
        members += KJ__CONTAINER_OF(link, struct kj__audience, behind_link)->count;
    }
    return members >= GATHER_MEMBERS;
}

/* Whether the last flush of some large audience carried more than there is now. */
static bool expects_more(const struct kj__shard *shard)
{
    for (const struct kj__list *link = shard->behind.next; link != &shard->behind;
         link = link->next) {
        const struct kj__audience *audience = KJ__CONTAINER_OF(link, struct kj__audience,
                                                               behind_link);
        if (audience->count >= GATHER_MEMBERS &&
            audience->end - audience->begin < audience->carried) {
            return true;
        }
    }
    return false;
}

static int64_t patience_ns(const struct kj__shard *shard)
{
    int64_t part_ns = shard->flush_ns / WAIT_PART;
    return part_ns < KJ__GATHER_WAIT_MAX_NS ? part_ns : KJ__GATHER_WAIT_MAX_NS;
}

static void let_others_post(struct kj__shard *shard)
{
    uint64_t ran = 0;
    for (int turn = 0; turn < GATHER_TURNS && ran != shard->jobs_ran && are_many_behind(shard);
         turn++) {
        ran = shard->jobs_ran;
        kj__shard_take_more(shard, 0);
    }
}

static void wait_for_more(struct kj__shard *shard)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    int64_t deadline_ns = kj__clock_monotonic_ns() + patience_ns(shard);
    while (expects_more(shard) && kj__clock_monotonic_ns() < deadline_ns) {
        nanosleep(&nap, NULL);
        kj__shard_take_more(shard, 0);
    }
}

void kj__gather(struct kj__shard *shard)
{
    let_others_post(shard);
    if (expects_more(shard)) {
        wait_for_more(shard);
    }
}
