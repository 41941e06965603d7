/* ending.c - ends of credentials from node to node: what is read is written so that it reads the
 * same. */
#include "dispatch/endings.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj__ending ending;
    struct kj__ending again;
    struct kj__buffer written = {0};
    if (!kj__ending_decode(bytes, len, &ending)) {
        return 0;
    }
    kj__ending_encode(&ending, &written);
    FUZZ_REQUIRE(!written.failed);
    FUZZ_REQUIRE(kj__ending_decode(written.data, written.len, &again));
    FUZZ_REQUIRE(ending.node == again.node && ending.credential == again.credential);
    FUZZ_REQUIRE(ending.credential != 0);
    kj__buffer_fini(&written);
    return 0;
}
