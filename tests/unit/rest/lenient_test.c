/* lenient_test.c - what becomes of odd bodies, as it was recorded of bahamut; where it goes
 * another way here, the row says so. */
#include "unit/rest/cmocka_all.h"

#include "unit/codec/bytes.h"
#include "unit/rest/fixture.h"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_serve_store(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&fixture);
    return 0;
}

/* A status, and what the answer holds. */
struct outcome {
    const char *body;
    int status;
    const char *part;
};

static const char required[] = "Attribute 'name' is required";
static const char undecodable[] = "unable to decode application/";

static void assert_outcome(const struct outcome *outcome)
{
    if (fixture.response.status != outcome->status ||
        !strstr(fixture_text(&fixture), outcome->part)) {
        fail_msg("%s: %d %s", outcome->body, fixture.response.status, fixture_text(&fixture));
    }
    for (size_t i = 0; i < fixture.event_count; i++) {
        kj_event_unref(fixture.events[i]);
    }
    fixture.event_count = 0;
}

static void json_bodies_are_read_as_leniently(void **state)
{
    (void)state;
    static const struct outcome outcomes[] = {
        {"{\"name\":true}", 200, "\"name\":\"true\""},
        {"{\"name\":null}", 422, required},
        {"{\"name\":1.50}", 200, "\"name\":\"1.5\""}, /* there: its spelling */
        {"{\"name\":12}", 200, "\"name\":\"12\""},
        {"{\"name\":{}}", 400, undecodable},
        {"{\"name\":[]}", 400, undecodable},
        {"{\"name\":[\"a\"]}", 400, undecodable},
        {"{\"name\":\"a\",\"name\":\"b\"}", 400, undecodable}, /* there: the last wins */
        {" \t\n{\"name\":\"a\"}", 200, "\"name\":\"a\""},
        {"\xef\xbb\xbf{\"name\":\"a\"}", 400, undecodable},
        {"{\"name\":\"a\",}", 400, undecodable},
        {"{name:\"a\"}", 400, undecodable},
        {"{'name':'a'}", 400, undecodable},
        {"{\"name\":\"a\"", 400, "unable to decode application/json: EOF"},
        {"{\"name\":\"\\ud83d\\ude00 \\u00e9 \\/ \\b\"}", 200,
         "\"\xf0\x9f\x98\x80 \xc3\xa9 / \\b\""},
        {"{\"name\":\"\\ud83d\"}", 400, undecodable},
        {"{\"name\":\"a\\x\"}", 400, undecodable},
        {"null", 422, required},
        {"true", 400, undecodable},
        {"\"x\"", 400, undecodable},
        {"12", 400, undecodable},
        {"[\"x\"]", 400, undecodable}, /* there: members by their position */
        {"{\"name\":\"a\",\"slice\":null}", 200, "\"slice\":null"},
        {"{\"name\":\"a\",\"slice\":[\"x\",1,true,null]}", 200,
         "\"slice\":[\"x\",\"1\",\"true\",\"\"]"},
        {"{\"name\":\"a\",\"slice\":{\"k\":\"v\"}}", 400, undecodable}, /* there: [\"k\",\"v\"] */
        {"{\"name\":\"a\",\"slice\":12}", 400, undecodable},
        {"{\"name\":\"a\",\"date\":null}", 200, "\"date\":null"},
        {"{\"name\":\"a\",\"date\":\"\"}", 400, undecodable},
        {"{\"name\":\"a\",\"date\":\"2021-03-04T05:06:07Z\"}", 200, "\"2021-03-04T05:06:07Z\""},
        {"{\"name\":\"a\",\"date\":\"2021-03-04T05:06:07+02:00\"}", 200,
         "\"2021-03-04T05:06:07+02:00\""},
        {"{\"name\":\"a\",\"date\":\"2021-03-04T05:06:07.100Z\"}", 200,
         "\"2021-03-04T05:06:07.1Z\""},
        {"{\"name\":\"a\",\"date\":\"2021-03-04T05:06:07\"}", 400, undecodable},
        {"{\"name\":\"a\",\"date\":\"2021-03-04\"}", 400, undecodable},
        {"{\"name\":\"a\",\"date\":12}", 400, undecodable},
        {"{\"name\":\"a\",\"date\":true}", 400, undecodable},
        {"{\"name\":\"a\",\"x\":{\"y\":[{\"z\":[]}]}}", 200, "\"name\":\"a\""},
        {"{\"name\":\"a\"}{\"name\":\"b\"}", 200, "\"name\":\"a\""},
        {"{\"name\":\"a\"}]", 200, "\"name\":\"a\""},
        {"{\"name\"=\"a\"}", 400, undecodable},
        {"[[[[", 400, undecodable},
    };
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        fixture_send(&fixture, "POST", "/v/1/lists", outcomes[i].body);
        assert_outcome(&outcomes[i]);
    }
}

static void msgpack_bodies_are_read_as_leniently(void **state)
{
    (void)state;
    static const struct outcome outcomes[] = {
        {"81a46e616d65d90161", 200, "\"name\":\"a\""},
        {"81a46e616d65da000161", 200, "\"name\":\"a\""},
        {"81a46e616d65db0000000161", 200, "\"name\":\"a\""},
        {"81a46e616d65c40161", 200, "\"name\":\"a\""},
        {"81a46e616d650c", 200, "\"name\":\"12\""},                  /* there: 400 */
        {"81a46e616d65cb3ff8000000000000", 200, "\"name\":\"1.5\""}, /* there: 400 */
        {"81a46e616d65c3", 200, "\"name\":\"true\""},                /* there: 400 */
        {"81a46e616d65c0", 422, required},
        {"81a46e616d659161", 400, undecodable}, /* there: the text of these bytes */
        {"81a46e616d6580", 400, undecodable},
        {"81a46e616d65a2fffe", 200, "\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"81a46e616d65d40561", 400, undecodable},
        {"81c4046e616d65a161", 200, "\"name\":\"a\""},
        {"8201a178a46e616d65a161", 400, undecodable},
        {"de0001a46e616d65a161", 200, "\"name\":\"a\""},
        {"df00000001a46e616d65a161", 200, "\"name\":\"a\""},
        {"82a46e616d65a161a46e616d65a162", 400, undecodable}, /* there: the last wins */
        {"81a46e616d65a161ffff", 200, "\"name\":\"a\""},
        {"c0", 422, required},
        {"c1", 400, undecodable},
        {"82a46e616d65a161", 400, "unable to decode application/msgpack: EOF"},
        {"81a46e616d65db7fffffff61", 400, "unable to decode application/msgpack: EOF"},
        {"82a46e616d65a161a5736c696365dd7fffffff", 400,
         "unable to decode application/msgpack: EOF"},
        {"82a46e616d65a161a464617465b4323032312d30332d30345430353a30363a30375a", 200,
         "\"2021-03-04T05:06:07Z\""}, /* there: 400 */
        {"82a46e616d65a161a4646174650c", 400, undecodable},
        {"82a46e616d65a161a464617465cb4029000000000000", 400, undecodable},
        {"82a46e616d65a161a464617465d6ff00000001", 200, "\"1970-01-01T00:00:01Z\""},
        {"82a46e616d65a161a464617465d7ff0000000400000001", 200,
         "\"1970-01-01T00:00:01.000000001Z\""},
        {"82a46e616d65a161a464617465c70cff000000010000000000000001", 200,
         "\"1970-01-01T00:00:01.000000001Z\""},
        {"82a46e616d65a161a5736c696365c0", 200, "\"slice\":null"},
        {"82a46e616d65a161a5736c69636594a17801c3c0", 200,
         "\"slice\":[\"x\",\"1\",\"true\",\"\"]"}, /* there: 400 */
        {"82a46e616d65a161a5736c69636592a178c40179", 200, "\"slice\":[\"x\",\"y\"]"},
    };
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        size_t len;
        uint8_t *bytes = bytes_from_hex(outcomes[i].body, &len);
        fixture_send_bytes(&fixture, "POST", "/v/1/lists", "Content-Type: application/msgpack\n",
                           bytes, len);
        assert_outcome(&outcomes[i]);
        free(bytes);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(json_bodies_are_read_as_leniently),
        TEST(msgpack_bodies_are_read_as_leniently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
