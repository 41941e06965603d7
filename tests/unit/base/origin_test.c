/* origin_test.c - origins and cookies of browsers. */
#include "base/cookie.h"
#include "base/origin.h"

#include "check.h"

#include <string.h>

static void origins(void **state)
{
    (void)state;
    static const char *const some[] = {"https://a.example", "http://b:81", NULL};
    static const char *const all[] = {"*", NULL};
    assert_true(kj__origin_is_allowed(NULL, NULL, NULL));
    assert_true(kj__origin_is_allowed("http://h:80", "H:80", NULL));
    assert_false(kj__origin_is_allowed("http://h:80", NULL, NULL));
    assert_false(kj__origin_is_allowed("http://h:80", "h", NULL));
    assert_false(kj__origin_is_allowed("null", "null", NULL));
    assert_true(kj__origin_is_allowed("HTTPS://A.example", "h", some));
    assert_false(kj__origin_is_allowed("https://a.example.org", "h", some));
    assert_true(kj__origin_is_allowed("null", "h", all));
}

static void expect(const char *header, const char *wanted)
{
    const char *value = NULL;
    size_t len = 0;
    bool is_found = kj__cookie_find(header, "sid", &value, &len);
    assert_int_equal(is_found, wanted != NULL);
    if (wanted) {
        assert_int_equal(len, strlen(wanted));
        assert_memory_equal(value, wanted, len);
    }
}

static void cookies(void **state)
{
    (void)state;
    expect("", NULL);
    expect("sid", NULL);
    expect("sid=", "");
    expect("sid=a=b", "a=b");
    expect("xsid=1; sid=2;sid=3", "2");
    expect("SID=1;;  ;a=b;sid=4", "4");
    expect("sidx=1; a=sid=2", NULL);
    expect("sid=\"a b\" ; sid=2", "a b");
    expect("sid=\"", "\"");
    expect("sid=\"\"", "");
    expect("sid=  ", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(origins), cmocka_unit_test(cookies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
