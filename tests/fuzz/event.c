/* event.c - events: the first byte chooses the encoding, the rest is the frame. */
#include "codec/event.h"
#include "fuzz.h"

#include <string.h>

/* Any member may be of any kind. */
static enum kj__member_kind kind_of(const void *ctx, const char *member)
{
    (void)ctx;
    return (enum kj__member_kind)((unsigned char)*member % (KJ__MEMBER_LIST_OF_BYTES + 1));
}

/* What is known of the members may change the bytes, not whether there are any. */
static void exercise_kinds(struct kj_event *event)
{
    static const struct kj__member_kinds kinds = {.kind_of = kind_of};
    for (int i = 0; i < KJ_ENCODING_COUNT; i++) {
        struct kj__buffer plain, known;
        struct kj_event *again;
        kj__buffer_init(&plain);
        kj__buffer_init(&known);
        enum kj_status status = kj__event_encode_into(event, (enum kj_encoding)i, &plain);
        FUZZ_REQUIRE(kj__event_encode_as(event, (enum kj_encoding)i, &kinds, &known) == status);
        if (!status) {
            FUZZ_REQUIRE(kj_event_decode(known.data, known.len, (enum kj_encoding)i, &again) ==
                         KJ_OK);
            kj_event_unref(again);
        }
        kj__buffer_fini(&known);
        kj__buffer_fini(&plain);
    }
}

static void exercise(struct kj_event *event)
{
    for (int i = 0; i < KJ_ENCODING_COUNT; i++) {
        uint8_t *bytes;
        size_t len;
        enum kj_status status = kj_event_encode(event, (enum kj_encoding)i, &bytes, &len);
        struct kj_event *again;
        if (status) {
            continue;
        }
        FUZZ_REQUIRE(kj_event_decode(bytes, len, (enum kj_encoding)i, &again) == KJ_OK);
        FUZZ_REQUIRE(strcmp(kj_event_type(again), kj_event_type(event)) == 0);
        FUZZ_REQUIRE(kj_event_timestamp_ns(again) == kj_event_timestamp_ns(event));
        kj_event_unref(again);
        free(bytes);
    }
    /* NULL for an entity with an extension that is no time; the same each time. */
    FUZZ_REQUIRE(kj_event_entity(event) == kj_event_entity(event));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0) {
        return 0;
    }
    struct kj_event *event;
    enum kj_encoding encoding = bytes[0] & 1 ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON;
    if (kj_event_decode(bytes + 1, len - 1, encoding, &event) == KJ_OK) {
        exercise(event);
        exercise_kinds(event);
        kj_event_unref(event);
    }
    return 0;
}
