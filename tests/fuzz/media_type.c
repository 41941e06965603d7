/* media_type.c - Content-Type and Accept: an encoding, or a status and a text for the client. */
#include "fuzz.h"

#include "codec/encoding.h"

#include <string.h>

typedef enum kj_status negotiation(const char *header, enum kj_encoding *encoding, int *http_status,
                                   struct kj_error *error);

static void negotiate(negotiation *function, const char *header)
{
    struct kj_error error = {.text = ""};
    enum kj_encoding encoding;
    int http_status = 0;
    if (function(header, &encoding, &http_status, &error)) {
        FUZZ_REQUIRE((http_status == 400 || http_status == 415) && error.text[0]);
    } else {
        FUZZ_REQUIRE(encoding == KJ_ENCODING_JSON || encoding == KJ_ENCODING_MSGPACK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *header = calloc(len + 1, 1);
    FUZZ_REQUIRE(header);
    if (len > 0) {
        memcpy(header, bytes, len);
    }
    negotiate(kj__negotiate_content_type, header);
    negotiate(kj__negotiate_accept, header);
    free(header);
    return 0;
}
