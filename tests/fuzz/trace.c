/* trace.c - headers that trace a request: what is believed is bounded, and believed again.
 *
 * Lines of the input are header lines; the first byte of each chooses the header.
 */
#include "rest/trace.h"
#include "fuzz.h"

#include <string.h>

static const char *const names[] = {"traceparent", "tracestate", "x-external-tracking-id",
                                    "x-external-tracking-type"};

enum { NAMES = sizeof names / sizeof *names, VALUE_MAX = 512 };

static void add_lines(struct kj__fields *headers, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        const uint8_t *end = memchr(bytes, '\n', len);
        size_t line = end ? (size_t)(end - bytes) : len;
        const char *name = names[bytes[0] % NAMES];
        if (line > 0 && !memchr(bytes, 0, line)) {
            FUZZ_REQUIRE(
                kj__fields_add_len(headers, name, strlen(name), (const char *)bytes + 1, line - 1));
        }
        bytes += line + (end != NULL);
        len -= line + (end != NULL);
    }
}

/* What was believed is believed when it comes alone. */
static void check(const json_t *tracking)
{
    struct kj__counters counters = {0};
    struct kj__fields headers;
    json_t *again;
    kj__fields_init(&headers, true);
    for (size_t i = 0; i < NAMES; i++) {
        const char *value = json_string_value(json_object_get(tracking, names[i]));
        FUZZ_REQUIRE(!value || strlen(value) <= VALUE_MAX);
        if (value) {
            FUZZ_REQUIRE(kj__fields_add(&headers, names[i], value));
        }
    }
    FUZZ_REQUIRE(kj__trace_read(&headers, &counters, &again) == KJ_OK);
    FUZZ_REQUIRE(json_equal(tracking, again) && counters.tracking_ignored == 0);
    json_decref(again);
    kj__fields_fini(&headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj__counters counters = {0};
    struct kj__fields headers;
    json_t *tracking;
    kj__fields_init(&headers, true);
    add_lines(&headers, bytes, len);
    FUZZ_REQUIRE(kj__trace_read(&headers, &counters, &tracking) == KJ_OK);
    if (tracking) {
        check(tracking);
    }
    json_decref(tracking);
    kj__fields_fini(&headers);
    return 0;
}
