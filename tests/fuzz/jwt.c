/* jwt.c - JSON Web Tokens before they are believed: as text, and as a payload of one. */
#include "fuzz.h"
#include "handlers/jwt_text.h"

#include <string.h>

static void take_apart(const char *token, size_t len)
{
    struct kj__jwt_parts parts;
    struct kj__jwt_claims claims;
    if (kj__jwt_split(token, len, &parts)) {
        FUZZ_REQUIRE(!parts.header && !parts.payload);
        return;
    }
    FUZZ_REQUIRE(json_is_object(parts.header) && json_is_object(parts.payload));
    enum kj_status status = kj__jwt_claims_make(parts.payload, &claims);
    FUZZ_REQUIRE(status == KJ_OK || status == KJ_ELIMIT);
    for (size_t i = 0; i < claims.count; i++) {
        const char *equals = strchr(claims.items[i], '=');
        FUZZ_REQUIRE(equals && equals > claims.items[i] && equals[1]);
    }
    kj__jwt_claims_fini(&claims);
    kj__jwt_parts_fini(&parts);
}

static size_t encode(const uint8_t *bytes, size_t len, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t count = 0;
    unsigned bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | bytes[i]) & 0xffff;
        for (held += 8; held >= 6;) {
            held -= 6;
            text[count++] = digits[bits >> held & 63];
        }
    }
    if (held) {
        text[count++] = digits[bits << (6 - held) & 63];
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char head[] = "e30.";
    take_apart((const char *)bytes, len);
    char *token = malloc(sizeof head + len * 2 + 4);
    FUZZ_REQUIRE(token);
    memcpy(token, head, sizeof head);
    size_t text_len = encode(bytes, len, token + strlen(head));
    unsigned char *decoded;
    size_t decoded_len;
    FUZZ_REQUIRE(!kj__base64url_decode(token + strlen(head), text_len, &decoded, &decoded_len));
    FUZZ_REQUIRE(decoded_len == len && memcmp(decoded, bytes, len) == 0);
    free(decoded);
    token[strlen(head) + text_len] = '.';
    take_apart(token, strlen(head) + text_len + 1);
    free(token);
    return 0;
}
