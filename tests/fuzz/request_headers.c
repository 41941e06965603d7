/* request_headers.c - header values of clients and proxies: Accept-Encoding and X-Forwarded-For. */
#include "fuzz.h"
#include "http/proxies.h"
#include "rest/compress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* Whoever it is, it is an address. */
static void require_address(const char *text)
{
    struct in6_addr address;
    FUZZ_REQUIRE(inet_pton(AF_INET, text, &address) == 1 ||
                 inet_pton(AF_INET6, text, &address) == 1);
}

static void find_client(const char *value)
{
    static const char *const all[] = {"0.0.0.0/0", "::/0", NULL};
    static const char *const some[] = {"127.0.0.0/8", "10.0.0.0/9", NULL};
    const char *const *const trusted[] = {all, some};
    for (size_t i = 0; i < sizeof trusted / sizeof *trusted; i++) {
        struct kj__proxies proxies;
        struct kj__fields headers;
        char address[KJ__PROXIED_ADDRESS_SIZE];
        kj__fields_init(&headers, true);
        FUZZ_REQUIRE(kj__proxies_init(&proxies, trusted[i], NULL) == KJ_OK);
        FUZZ_REQUIRE(kj__fields_add(&headers, "X-Forwarded-For", value));
        require_address(kj__proxies_client(&proxies, "127.0.0.1", &headers, address));
        kj__fields_fini(&headers);
        kj__proxies_fini(&proxies);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *value = strndup((const char *)bytes, len);
    FUZZ_REQUIRE(value);
    (void)kj__accepts_gzip(value);
    find_client(value);
    free(value);
    return 0;
}
