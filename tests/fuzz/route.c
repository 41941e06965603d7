/* route.c - requests of routes: a path, a query, a cookie and a body, at the first three line ends.
 * Texts that a handler gets are UTF-8, and what was refused has an answer.
 */
#include "base/utf8.h"
#include "fuzz.h"
#include "rest/route_exchange.h"

#include <string.h>

enum { PARTS = 3 };

static void say_nothing(struct kj_exchange *exchange, void *ctx)
{
    (void)exchange;
    (void)ctx;
}

static void check_text(const char *text)
{
    FUZZ_REQUIRE(!text || kj__utf8_is_valid((const uint8_t *)text, strlen(text)));
}

static void check(struct kj_exchange *exchange)
{
    check_text(kj_exchange_rest(exchange));
    check_text(kj_exchange_parameter(exchange, "a"));
    check_text(kj_exchange_form(exchange, "a"));
    (void)kj_exchange_cookie(exchange, "a");
    (void)kj_exchange_token(exchange);
    json_t *json = kj_exchange_json(exchange);
    FUZZ_REQUIRE((json == NULL) == (kj_exchange_fault(exchange)[0] != '\0'));
    FUZZ_REQUIRE(!json || !kj_exchange_answer_json_take(exchange, 200, json_incref(json)));
}

static void answer(const struct kj__http_request *request, const struct kj__route_place *place)
{
    struct kj_exchange exchange;
    struct kj__http_response response;
    kj__http_response_init(&response);
    kj__route_exchange_init(&exchange, request, NULL);
    if (kj__route_exchange_read(&exchange, place)) {
        check(&exchange);
        FUZZ_REQUIRE(!kj_exchange_answer(&exchange, 200, NULL, NULL, 0));
    }
    kj__route_exchange_finish(&exchange, &response);
    FUZZ_REQUIRE(response.status == 200 || response.status == 400);
    kj__route_exchange_fini(&exchange);
    kj__http_response_fini(&response);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct kj__route_table table;
    char *parts[PARTS];
    if (!table.places.next) {
        kj__route_table_init(&table);
        FUZZ_REQUIRE(!kj__route_table_add(
            &table, &(struct kj_route){.method = "POST", .path = "/*", .handle = say_nothing},
            NULL));
    }
    for (int i = 0; i < PARTS; i++) {
        const uint8_t *end = len ? memchr(bytes, '\n', len) : NULL;
        size_t part = end ? (size_t)(end - bytes) : len;
        parts[i] = strndup((const char *)bytes, part);
        FUZZ_REQUIRE(parts[i]);
        bytes += part + (end != NULL);
        len -= part + (end != NULL);
    }
    struct kj__fields headers;
    kj__fields_init(&headers, true);
    FUZZ_REQUIRE(
        kj__fields_add(&headers, "Cookie", parts[2]) &&
        kj__fields_add(&headers, "Authorization", parts[2]) &&
        (len % 2 || kj__fields_add(&headers, "Content-Type", "application/x-www-form-urlencoded")));
    const struct kj__route_place *place = kj__route_table_find(&table, parts[0]);
    if (place) {
        answer(&(struct kj__http_request){.method = "POST",
                                          .path = parts[0],
                                          .query = parts[1],
                                          .headers = &headers,
                                          .body = bytes,
                                          .body_len = len,
                                          .remote_address = "127.0.0.1"},
               place);
    }
    kj__fields_fini(&headers);
    for (int i = 0; i < PARTS; i++) {
        free(parts[i]);
    }
    return 0;
}
