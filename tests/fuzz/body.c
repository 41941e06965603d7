/* body.c - bodies of writes: what fits an identity can be answered in both encodings, and fits
 * again as it is. The first byte chooses the encoding and whether it is a patch.
 */
#include "fuzz.h"

#include "codec/encoding.h"
#include "model/identity.h"

#include <string.h>

/* One with an attribute of every type. */
static const struct kj_identity *identity_of_all(void)
{
    static const char text[] =
        "{\"identities\":[{\"name\":\"list\",\"category\":\"lists\",\"attributes\":["
        "{\"name\":\"name\",\"required\":true,\"max_length\":40,\"pattern\":\"^[a-z]\"},"
        "{\"name\":\"count\",\"type\":\"integer\",\"minimum\":-5,\"maximum\":1000},"
        "{\"name\":\"share\",\"type\":\"float\"},{\"name\":\"done\",\"type\":\"boolean\"},"
        "{\"name\":\"due\",\"type\":\"time\"},{\"name\":\"blob\",\"type\":\"bytes\"},"
        "{\"name\":\"tags\",\"type\":\"list\",\"default\":[\"a\"],\"min_length\":1},"
        "{\"name\":\"numbers\",\"type\":\"list\",\"items\":\"integer\"},"
        "{\"name\":\"times\",\"type\":\"list\",\"items\":\"time\"},"
        "{\"name\":\"more\",\"type\":\"object\"},{\"name\":\"fixed\",\"creation_only\":true},"
        "{\"name\":\"made\",\"read_only\":true},{\"name\":\"secret\",\"secret\":true},"
        "{\"name\":\"state\",\"allowed\":[\"on\",\"off\"],\"default\":\"on\"}]}]}";
    static struct kj_model *model;
    struct kj_error error;
    FUZZ_REQUIRE(model || kj_model_parse(text, strlen(text), "body.c", &model, &error) == KJ_OK);
    return kj_model_identity(model, "list");
}

/* What is encoded is read again, fits, and is encoded the same. */
static void answer(const struct kj_identity *identity, const json_t *object,
                   enum kj_encoding encoding)
{
    struct kj__member_kinds kinds = kj__identity_kinds(identity);
    struct kj_error error;
    struct kj__buffer out, out_again;
    json_t *again;
    kj__buffer_init(&out);
    kj__buffer_init(&out_again);
    FUZZ_REQUIRE(kj__value_encode(encoding, object, &kinds, &out) == KJ_OK);
    FUZZ_REQUIRE(kj__value_decode_as(encoding, out.data, out.len, &kinds, &again, &error) == KJ_OK);
    FUZZ_REQUIRE(kj__identity_conform(identity, again, false, &error) == KJ_OK);
    FUZZ_REQUIRE(kj__value_encode(encoding, again, &kinds, &out_again) == KJ_OK);
    FUZZ_REQUIRE(out.len == out_again.len && memcmp(out.data, out_again.data, out.len) == 0);
    json_decref(again);
    kj__buffer_fini(&out_again);
    kj__buffer_fini(&out);
}

static void fit(const struct kj_identity *identity, json_t *object, bool is_patch)
{
    struct kj_error error = {.text = ""};
    if (kj__identity_conform(identity, object, !is_patch, &error)) {
        FUZZ_REQUIRE(error.text[0]);
        return;
    }
    json_t *errors = json_array();
    bool valid = kj__identity_validate(identity, object, is_patch, errors, "");
    FUZZ_REQUIRE(valid == (json_array_size(errors) == 0));
    json_decref(errors);
    if (is_patch) {
        kj__identity_drop_protected(identity, object);
    } else {
        FUZZ_REQUIRE(kj__identity_protect(identity, object, NULL) == KJ_OK);
    }
    FUZZ_REQUIRE(kj__identity_blank_secrets(identity, object) == KJ_OK);
    answer(identity, object, KJ_ENCODING_JSON);
    answer(identity, object, KJ_ENCODING_MSGPACK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0) {
        return 0;
    }
    const struct kj_identity *identity = identity_of_all();
    enum kj_encoding encoding = bytes[0] & 1 ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON;
    struct kj__member_kinds kinds = kj__identity_kinds(identity);
    struct kj_error error = {.text = ""};
    json_t *value;
    if (kj__value_decode_as(encoding, bytes + 1, len - 1, &kinds, &value, &error)) {
        FUZZ_REQUIRE(!value && error.text[0]);
        return 0;
    }
    if (json_is_object(value)) {
        fit(identity, value, (bytes[0] & 2) != 0);
    }
    json_decref(value);
    return 0;
}
