/* push.c - pushes from node to node: what is read is written so that it reads the same. */
#include "gateway/push.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj_push *push;
    struct kj_push *again;
    if (kj__push_decode(bytes, len, &push)) {
        FUZZ_REQUIRE(!push);
        return 0;
    }
    struct kj__buffer written = {0};
    kj__push_encode(&push->parts, &written);
    FUZZ_REQUIRE(!written.failed);
    FUZZ_REQUIRE(kj__push_decode(written.data, written.len, &again) == KJ_OK);
    FUZZ_REQUIRE(push->parts.id == again->parts.id && push->parts.op == again->parts.op);
    FUZZ_REQUIRE(strcmp(push->parts.name, again->parts.name) == 0);
    FUZZ_REQUIRE(push->parts.body_len == again->parts.body_len &&
                 memcmp(push->parts.body, again->parts.body, push->parts.body_len) == 0);
    kj__buffer_fini(&written);
    kj__push_unref(push);
    kj__push_unref(again);
    return 0;
}
