/* base64.c - base64 text: what can be read has the length foretold, and is the same when written
 * and read again. */
#include "codec/base64.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj__buffer read, text, again;
    kj__buffer_init(&read);
    kj__buffer_init(&text);
    kj__buffer_init(&again);
    if (kj__base64_decode((const char *)bytes, len, &read)) {
        FUZZ_REQUIRE(read.len == kj__base64_decoded_len((const char *)bytes, len));
        kj__base64_encode(read.data, read.len, &text);
        FUZZ_REQUIRE(text.len == len);
        FUZZ_REQUIRE(kj__base64_decode((const char *)text.data, text.len, &again));
        FUZZ_REQUIRE(again.len == read.len);
        FUZZ_REQUIRE(read.len == 0 || memcmp(again.data, read.data, read.len) == 0);
    } else {
        FUZZ_REQUIRE(read.len == 0);
    }
    kj__buffer_fini(&again);
    kj__buffer_fini(&text);
    kj__buffer_fini(&read);
    return 0;
}
