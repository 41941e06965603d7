/* jwt_text_test.c - tokens taken apart, and their claims. */
#include "unit/rest/cmocka_all.h"

#include "handlers/jwt_text.h"

#include <stdlib.h>
#include <string.h>

static const char *decode(const char *text)
{
    static char kept[64];
    unsigned char *bytes;
    size_t len;
    if (kj__base64url_decode(text, strlen(text), &bytes, &len)) {
        assert_null(bytes);
        return NULL;
    }
    memcpy(kept, bytes, len);
    kept[len] = '\0';
    free(bytes);
    return kept;
}

static void base64url_has_one_form(void **state)
{
    (void)state;
    assert_string_equal(decode(""), "");
    assert_string_equal(decode("YQ"), "a");
    assert_string_equal(decode("YWI"), "ab");
    assert_string_equal(decode("YWJj"), "abc");
    assert_string_equal(decode("_-8"), "\xff\xef");
    static const char *const bad[] = {"Y", "YWJjY", "YQ==", "YR", "YWJ", "+/8", "Y Q", "YQ\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(decode(bad[i]));
    }
}

static enum kj_status split(const char *token)
{
    struct kj__jwt_parts parts;
    enum kj_status status = kj__jwt_split(token, strlen(token), &parts);
    assert_int_equal(status == KJ_OK, parts.header != NULL);
    kj__jwt_parts_fini(&parts);
    return status;
}

static void a_token_is_three_parts_of_which_two_are_objects(void **state)
{
    (void)state;
    assert_int_equal(split("e30.e30."), KJ_OK);
    assert_int_equal(split("e30.e30.AAAA"), KJ_OK);
    static const char *const bad[] = {
        "",          "e30",       "e30.e30",    ".e30.",
        "e30..",     "e30.e30.A", "e30.e30.A.", "e30.W10.",
        "MQ.e30.",   "e30.e31.",  "e30.eyJ9.",  "e30.e30.AAAA.AAAA",
        "e30.e30.é", "e30.e3 0.", "e30=.e30.",  "e30.eyJhIjoxLCJhIjoyfQ."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(split(bad[i]), KJ_EPARSE);
    }
}

static void nesting_ends_before_a_parser_sees_it(void **state)
{
    (void)state;
    /* {"a":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]} nests 16 deep, the next one 17. */
    assert_int_equal(split("e30.eyJhIjpbW1tbW1tbW1tbW1tbW1sxXV1dXV1dXV1dXV1dXV1dfQ."), KJ_OK);
    assert_int_equal(split("e30.eyJhIjpbW1tbW1tbW1tbW1tbW1tbMV1dXV1dXV1dXV1dXV1dXV19."), KJ_ELIMIT);
    /* {"a":"[[[[[[[[[[[[[[[[[[[[\"[["} does not. */
    assert_int_equal(split("e30.eyJhIjoiW1tbW1tbW1tbW1tbW1tbW1tbW1tcIltbIn0."), KJ_OK);
}

static enum kj_status make(json_t *payload, struct kj__jwt_claims *claims)
{
    assert_non_null(payload);
    enum kj_status status = kj__jwt_claims_make(payload, claims);
    json_decref(payload);
    return status;
}

static void members_become_claims(void **state)
{
    (void)state;
    struct kj__jwt_claims claims;
    assert_int_equal(
        make(json_pack("{s:s, s:I, s:f, s:b, s:[s, i, n, {}, [s]], s:n, s:{}, s:s, s:s, "
                       "s:s, s:i, s:s}",
                       "sub", "a=b", "big", (json_int_t)1 << 62, "r", 0.5, "t", 1, "l", "x", 2,
                       "deep", "n", "o", "e", "", "k=", "v", "", "v", "exp", 1, "jti", "x"),
             &claims),
        KJ_OK);
    static const char *const wanted[] = {
        "sub=a=b", "big=4611686018427387904", "r=0.5", "t=true", "l=x", "l=2"};
    assert_int_equal(claims.count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < claims.count; i++) {
        assert_string_equal(claims.items[i], wanted[i]);
    }
    kj__jwt_claims_fini(&claims);
}

static void too_many_claims_are_an_error(void **state)
{
    (void)state;
    struct kj__jwt_claims claims;
    for (int count = KJ__JWT_CLAIMS_MAX; count <= KJ__JWT_CLAIMS_MAX + 1; count++) {
        json_t *list = json_array();
        for (int i = 0; i < count; i++) {
            json_array_append_new(list, json_true());
        }
        assert_int_equal(make(json_pack("{s:o}", "a", list), &claims),
                         count > KJ__JWT_CLAIMS_MAX ? KJ_ELIMIT : KJ_OK);
        kj__jwt_claims_fini(&claims);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64url_has_one_form),
        cmocka_unit_test(a_token_is_three_parts_of_which_two_are_objects),
        cmocka_unit_test(nesting_ends_before_a_parser_sees_it),
        cmocka_unit_test(members_become_claims),
        cmocka_unit_test(too_many_claims_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
