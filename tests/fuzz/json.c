/* json.c - JSON text: what is read can be written, and reads back as the same value. */
#include "codec/json.h"
#include "codec/msgpack.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    json_t *value, *again;
    struct kj__buffer text;
    kj__buffer_init(&text);
    if (kj__json_decode(bytes, len, &value, NULL) == KJ_OK) {
        FUZZ_REQUIRE(kj__json_encode(value, &text) == KJ_OK);
        FUZZ_REQUIRE(kj__json_decode(text.data, text.len, &again, NULL) == KJ_OK);
        json_decref(again);
        json_decref(value);
        text.len = 0;
        FUZZ_REQUIRE(kj__json_to_msgpack(bytes, len, &text) == KJ_OK);
        FUZZ_REQUIRE(kj__msgpack_check(text.data, text.len, NULL, NULL) == KJ_OK);
    }
    kj__buffer_fini(&text);
    return 0;
}
