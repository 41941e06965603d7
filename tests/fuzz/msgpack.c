/* msgpack.c - msgpack bytes: the check, the tree and the stream agree on what is well formed. */
#include "codec/msgpack.h"
#include "codec/json.h"
#include "fuzz.h"

/* Any member may be of any kind. */
static enum kj__member_kind kind_of(const void *ctx, const char *member)
{
    (void)ctx;
    return (enum kj__member_kind)((unsigned char)*member % (KJ__MEMBER_LIST_OF_BYTES + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    size_t used = 0;
    struct kj_error error;
    enum kj_status status = kj__msgpack_check(bytes, len, &used, &error);
    json_t *value;
    struct kj__buffer out;
    kj__buffer_init(&out);
    FUZZ_REQUIRE(used <= len);
    FUZZ_REQUIRE(kj__msgpack_to_json(bytes, len, &out) == status);
    /* Extensions have a text, but no value. */
    enum kj_status decoded = kj__msgpack_decode(bytes, len, &value, &error);
    FUZZ_REQUIRE(decoded == status || (!status && decoded == KJ_EPARSE));
    if (!decoded) {
        out.len = 0;
        FUZZ_REQUIRE(kj__msgpack_encode(value, NULL, &out) == KJ_OK);
        FUZZ_REQUIRE(kj__msgpack_check(out.data, out.len, &used, NULL) == KJ_OK);
        FUZZ_REQUIRE(used == out.len);
        json_decref(value);
    }
    /* Kinds change what a member becomes, not what can be read. */
    static const struct kj__member_kinds kinds = {.kind_of = kind_of};
    FUZZ_REQUIRE(kj__msgpack_decode_as(bytes, len, &kinds, &value, NULL) == decoded);
    json_decref(value);
    kj__buffer_fini(&out);
    return 0;
}
