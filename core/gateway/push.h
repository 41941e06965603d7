/* push.h - a push as it is and as it travels: an array of msgpack, which the backend carries.
 *
 *   [1, what, id, node, sequence, time_ms, kind, name, from, op, client, flags, body, ways, speed]
 *
 * with id and client as signed integers of the same 64 bits; the last two may be missing, and
 * elements beyond are for later and ignored. Threads: immutable; the count of references is atomic.
 */
#ifndef KJ_GATEWAY_PUSH_H
#define KJ_GATEWAY_PUSH_H

#include "base/buffer.h"

#include <kujata/gateway.h>
#include <stdatomic.h>

enum kj__what {
    KJ__WHAT_PUSH = 0,
    KJ__WHAT_KICK,  /* op: the close code; body: the reason */
    KJ__WHAT_LOGIN, /* `client` is a new one of the user `name`, with the device `from`; op: its
                     * enum kj_user_policy; time_ms: when */
    KJ__WHAT_MARK,  /* of a node to itself: what it published before has come */
};

enum { KJ__WHAT_COUNT = 4 };

/* Texts and bytes are borrowed; from a push, its own. */
struct kj__push_parts {
    enum kj__what what;
    uint64_t id;
    uint32_t node;
    uint64_t sequence;
    int64_t time_ms;
    enum kj_topic_kind kind;
    const char *name, *from; /* never NULL */
    int64_t op;
    uint64_t client;
    enum kj_presence presence;
    bool body_is_json;
    bool at_once; /* see kj_push_options */
    /* The clients of its own node have had it (see home.h), or there were none: who comes later
     * does not get what was said to have reached nobody. */
    bool is_for_others;
    uint32_t speed; /* see kj_push_options */
    const uint8_t *body;
    size_t body_len;
};

struct kj_push {
    _Atomic uint32_t refs;
    struct kj__push_parts parts;
    char storage[]; /* name NUL from NUL body */
};

void kj__push_encode(const struct kj__push_parts *parts, struct kj__buffer *out);

/* KJ_EPARSE for what is no push, KJ_ELIMIT for names and bodies that are too long, KJ_ENOMEM. */
enum kj_status kj__push_decode(const uint8_t *bytes, size_t len, struct kj_push **push);

struct kj_push *kj__push_ref(struct kj_push *push);
void kj__push_unref(struct kj_push *push); /* NULL is fine */

#endif
