/* strikes.c - see strikes.h. */
#include "dispatch/strikes.h"

#include "base/address.h"

#include <stdbool.h>
#include <string.h>

void kj__strikes_init(struct kj__strikes *strikes, uint32_t wait_ms, uint32_t wait_max_ms)
{
    memset(strikes, 0, sizeof *strikes);
    strikes->wait_ms = wait_ms;
    strikes->wait_max_ms = wait_max_ms > wait_ms ? wait_max_ms : wait_ms;
    pthread_mutex_init(&strikes->lock, NULL);
}

void kj__strikes_fini(struct kj__strikes *strikes)
{
    pthread_mutex_destroy(&strikes->lock);
}

/* Lock held: the address's entry, or the one it may have. */
static struct kj__strike *find(struct kj__strikes *strikes, uint64_t address)
{
    struct kj__strike *set = strikes->table[address % KJ__STRIKE_SETS];
    struct kj__strike *oldest = set;
    for (int i = 0; i < KJ__STRIKE_WAYS; i++) {
        if (set[i].address == address) {
            return &set[i];
        }
        if (set[i].until_ms < oldest->until_ms) {
            oldest = &set[i];
        }
    }
    return oldest;
}

static uint32_t next_wait(const struct kj__strikes *strikes, uint32_t last_ms)
{
    if (last_ms == 0) {
        return strikes->wait_ms;
    }
    return last_ms < strikes->wait_max_ms / 2 ? last_ms * 2 : strikes->wait_max_ms;
}

uint32_t kj__strikes_add(struct kj__strikes *strikes, const char *address, uint64_t now_ms)
{
    uint64_t key = kj__address_key(address);
    uint32_t wait_ms = 0;
    pthread_mutex_lock(&strikes->lock);
    struct kj__strike *strike = find(strikes, key);
    bool is_known = strike->address == key && strike->until_ms > 0 &&
                    now_ms <= strike->until_ms + strikes->wait_max_ms;
    if (is_known) {
        wait_ms = next_wait(strikes, strike->wait_ms);
    }
    *strike = (struct kj__strike){.address = key, .until_ms = now_ms + wait_ms, .wait_ms = wait_ms};
    pthread_mutex_unlock(&strikes->lock);
    return wait_ms;
}
