/* push_config.c - push configs: the first byte chooses the encoding, the rest is the frame. */
#include "fuzz.h"

#include <kujata/push_config.h>
#include <string.h>

static void count(const char *name, const char *value, void *ctx)
{
    *(size_t *)ctx += strlen(name) + strlen(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0) {
        return 0;
    }
    struct kj_push_config *config;
    struct kj_error error = {0};
    enum kj_encoding encoding = bytes[0] & 1 ? KJ_ENCODING_MSGPACK : KJ_ENCODING_JSON;
    size_t total = 0;
    enum kj_status status = kj_push_config_decode(bytes + 1, len - 1, encoding, &config, &error);
    FUZZ_REQUIRE((status == KJ_OK) == (config != NULL));
    FUZZ_REQUIRE((status == KJ_OK) == (error.text[0] == '\0'));
    if (config) {
        (void)kj_push_config_wants(config, "list", "create");
        (void)kj_push_config_filter(config, "list");
        kj_push_config_parameters(config, count, &total);
        FUZZ_REQUIRE(total <= (size_t)1024 * len);
        kj_push_config_free(config);
    }
    return 0;
}
