/* event.c - events: the first byte chooses the encoding, the rest is the frame. */
#include "codec/event.h"
#include "fuzz.h"

#include <string.h>

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
        kj_event_unref(event);
    }
    return 0;
}
