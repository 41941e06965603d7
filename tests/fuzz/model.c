/* model.c - model files: whatever is read, a model or an error that names the file comes out. */
#include "fuzz.h"

#include <kujata/model.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj_model *model;
    struct kj_error error = {{0}, 0};
    if (kj_model_parse((const char *)bytes, len, "input.json", &model, &error) == KJ_OK) {
        for (size_t i = 0; i < kj_model_identity_count(model); i++) {
            const struct kj_identity *identity = kj_model_identity_at(model, i);
            FUZZ_REQUIRE(kj_model_identity(model, kj_identity_name(identity)));
        }
        kj_model_free(model);
    } else {
        FUZZ_REQUIRE(!model && strstr(error.text, "input.json"));
        FUZZ_REQUIRE(error.position <= len);
    }
    return 0;
}
