/* gateway_ping_test.c - pings as bahamut's gateways read them, byte for byte. */
#include "core/gateway_ping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_encodes(const struct kj__gateway_ping *ping, const char *hex)
{
    struct kj__buffer out;
    char text[2048];
    kj__buffer_init(&out);
    assert_int_equal(kj__gateway_ping_encode(ping, &out), KJ_OK);
    assert_false(out.failed);
    assert_true(out.len * 2 < sizeof text);
    text[0] = '\0';
    for (size_t i = 0; i < out.len; i++) {
        snprintf(text + 2 * i, 3, "%02x", out.data[i]);
    }
    assert_string_equal(text, hex);
    kj__buffer_fini(&out);
}

static void a_goodbye_is_nine_members_and_mostly_nothing(void **state)
{
    (void)state;
    const struct kj__gateway_ping ping = {.status = KJ__GATEWAY_GOODBYE,
                                          .name = "n",
                                          .endpoint = "h:1",
                                          .prefix = "",
                                          .push_endpoint = ""};
    assert_encodes(&ping, "89"
                          "ab4150494c696d6974657273c0"   /* APILimiters nil */
                          "a8456e64706f696e74a3683a31"   /* Endpoint h:1 */
                          "a44c6f6164cb0000000000000000" /* Load 0.0 */
                          "a44e616d65a16e"               /* Name n */
                          "a6507265666978a0"             /* Prefix */
                          "ac50757368456e64706f696e74a0" /* PushEndpoint */
                          "a6526f75746573c0"             /* Routes nil */
                          "a653746174757300"             /* Status 0 */
                          "a856657273696f6e73c0");       /* Versions nil */
}

static void a_hello_says_everything(void **state)
{
    struct kj__listed_route routes[] = {
        {.category = "tasks", .url = "/tasks", .verbs = {"GET", "POST"}},
        {.category = "tasks", .url = "/tasks/:id", .verbs = {"PUT"}}};
    struct kj__route_list lists[] = {{.version = 0, .routes = NULL, .count = 0},
                                     {.version = 1, .routes = routes, .count = 2}};
    const struct kj__route_lists all = {.lists = lists, .count = 2};
    const struct kj__gateway_limit limits[] = {
        {.category = "tasks", .rate = {.per_second = 10, .burst = 20}},
        {.category = "users", .rate = {.per_second = 3}}};
    json_t *versions = json_pack("{s:s}", "k", "1");
    const struct kj__gateway_ping ping = {.status = KJ__GATEWAY_HELLO,
                                          .name = "n",
                                          .endpoint = "h:1",
                                          .prefix = "p",
                                          .push_endpoint = "/events",
                                          .load = 1.5,
                                          .routes = &all,
                                          .versions = versions,
                                          .limits = limits,
                                          .limit_count = 2};
    (void)state;
    assert_encodes(
        &ping,
        "89"
        "ab4150494c696d697465727382"
        "a57461736b7382a5427572737414a54c696d6974cb4024000000000000"
        "a5757365727382a5427572737403a54c696d6974cb4008000000000000"
        "a8456e64706f696e74a3683a31"
        "a44c6f6164cb3ff8000000000000"
        "a44e616d65a16e"
        "a6507265666978a170"
        "ac50757368456e64706f696e74a72f6576656e7473"
        "a6526f7574657382"
        "0090"
        "0192"
        "83a86964656e74697479a57461736b73a375726ca62f7461736b73a5766572627392a3474554a4504f5354"
        "83a86964656e74697479a57461736b73a375726caa2f7461736b732f3a6964a5766572627391a3505554"
        "a653746174757301"
        "a856657273696f6e7381a16ba131");
    json_decref(versions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_goodbye_is_nine_members_and_mostly_nothing),
        cmocka_unit_test(a_hello_says_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
