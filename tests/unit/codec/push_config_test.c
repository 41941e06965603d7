/* push_config_test.c - what a subscriber may ask for, in the shapes bahamut takes. */
#include "bytes.h"

#include <kujata/push_config.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static enum kj_status decode(const char *text, struct kj_push_config **config,
                             struct kj_error *error)
{
    return kj_push_config_decode((const uint8_t *)text, strlen(text), KJ_ENCODING_JSON, config,
                                 error);
}

static struct kj_push_config *accept(const char *text)
{
    struct kj_push_config *config;
    struct kj_error error = {0};
    enum kj_status status = decode(text, &config, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, KJ_OK);
    return config;
}

static void visit(const char *name, const char *value, void *ctx)
{
    kj__buffer_printf(ctx, "%s=%s;", name, value);
}

static void assert_is_the_vector(const struct kj_push_config *config)
{
    struct kj__buffer parameters;
    kj__buffer_init(&parameters);

    assert_true(kj_push_config_wants(config, "list", "create"));
    assert_false(kj_push_config_wants(config, "list", "update"));
    assert_true(kj_push_config_wants(config, "task", "gallop"));
    assert_false(kj_push_config_wants(config, "user", "create"));
    assert_string_equal(kj_push_config_filter(config, "list"), "name == \"x\"");
    assert_null(kj_push_config_filter(config, "task"));
    assert_null(kj_push_config_filter(config, "user"));
    kj_push_config_parameters(config, visit, &parameters);
    assert_bytes_text(parameters.data, parameters.len, "token=abc;");

    kj__buffer_fini(&parameters);
}

static void push_config_reads_the_json_vector(void **state)
{
    (void)state;
    struct kj_push_config *config = accept(
        "{\"filters\":{\"list\":\"name == \\\"x\\\"\"},\"identities\":{\"list\":[\"create\"]"
        ",\"task\":null},\"parameters\":{\"token\":[\"abc\"]}}");

    assert_is_the_vector(config);

    kj_push_config_free(config);
}

static void push_config_reads_the_msgpack_vector(void **state)
{
    (void)state;
    size_t len;
    uint8_t *bytes = bytes_from_hex(
        "83a766696c7465727381a46c697374ab6e616d65203d3d20227822aa6964656e74697469657382a46c69737491"
        "a6637265617465a47461736bc0aa706172616d657465727381a5746f6b656e91a3616263",
        &len);
    struct kj_push_config *config;

    assert_int_equal(kj_push_config_decode(bytes, len, KJ_ENCODING_MSGPACK, &config, NULL), KJ_OK);

    assert_is_the_vector(config);
    kj_push_config_free(config);
    free(bytes);
}

/* Frames observed against bahamut, and whether a "list" "create" then arrived. */
static void push_config_accepts_the_shapes_bahamut_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool wants;
    } rows[] = {
        {"{}", true},
        {"null", true},
        {"[]", true},
        {"{\"identities\":null,\"filters\":null,\"parameters\":null}", true},
        {"{\"identities\":{\"list\":[\"create\"]}}", true},
        {"{\"identities\":{\"list\":null}}", true},
        {"{\"identities\":{\"list\":[]}}", true},
        {"{\"identities\":{\"list\":[\"delete\"]}}", false},
        {"{\"identities\":{\"task\":[]}}", false},
        {"{\"identities\":{\"lists\":[]}}", false},
        {"{\"hello\":1,\"identities\":{\"list\":[]}}", true},
        {"{\"identities\":{\"list\":[]}} trailing", true},
        {"[{\"task\":[]},{\"task\":\"a == 1\"},{\"k\":[\"v\"]},12]", false},
        {"[null,null]", true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj_push_config *config = accept(rows[i].text);
        assert_int_equal(kj_push_config_wants(config, "list", "create"), rows[i].wants);
        kj_push_config_free(config);
    }
}

static void push_config_refuses_other_shapes_with_a_text(void **state)
{
    (void)state;
    static const char prefix[] = "could not decode message into *elemental.PushConfig: unable to "
                                 "decode application/json: ";
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "EOF"},
        {"{\"identities\":", "EOF"},
        {"hello", "json decode error [pos 1]: only encoded map or array can decode into struct"},
        {"12", "json decode error [pos 1]: only encoded map or array can decode into struct"},
        {"\"x\"", "json decode error [pos 1]: only encoded map or array can decode into struct"},
        {" true", "json decode error [pos 1]: only encoded map or array can decode into struct"},
        {"nope", NULL},
        {"{\"identities\":[\"list\"]}", NULL},
        {"{\"identities\":{\"list\":\"create\"}}", NULL},
        {"{\"identities\":{\"list\":[1]}}", NULL},
        {"{\"identities\":{\"list\":[\"a\\u0000\"]}}", NULL},
        {"{\"identities\":{\"list\":[]},\"filters\":{\"list\":1}}", NULL},
        {"{\"parameters\":{\"k\":\"v\"}}", NULL},
        {"{\"parameters\":3}", NULL},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj_push_config *config;
        struct kj_error error;

        assert_int_equal(decode(rows[i].text, &config, &error), KJ_EPARSE);

        assert_null(config);
        assert_memory_equal(error.text, prefix, sizeof prefix - 1);
        if (rows[i].reason) {
            assert_string_equal(error.text + sizeof prefix - 1, rows[i].reason);
        }
    }
}

static void push_config_refuses_reserved_msgpack(void **state)
{
    (void)state;
    struct kj_push_config *config;
    struct kj_error error;

    assert_int_equal(
        kj_push_config_decode((const uint8_t *)"\xc1", 1, KJ_ENCODING_MSGPACK, &config, &error),
        KJ_EPARSE);

    assert_string_equal(error.text,
                        "could not decode message into *elemental.PushConfig: unable to decode "
                        "application/msgpack: msgpack decode error [pos 1]: only encoded map or "
                        "array can decode into struct");
}

static void push_config_filters_need_their_identity(void **state)
{
    (void)state;
    struct kj_push_config *config;
    struct kj_error error;

    assert_int_equal(decode("{\"filters\":{\"list\":\"name == \\\"x\\\"\"}}", &config, &error),
                     KJ_EINVAL);

    assert_string_equal(error.text,
                        "unable to parse identity filters: elemental: cannot declare an identity "
                        "filter on \"list\" as that was not declared in 'Identities'");
}

/* A frame with `count` members of one map, each "k<n>":<value>. */
static enum kj_status decode_many(const char *part, int count, const char *value)
{
    struct kj__buffer text;
    kj__buffer_init(&text);
    kj__buffer_printf(&text, "{\"%s\":{", part);
    for (int i = 0; i < count; i++) {
        kj__buffer_printf(&text, "%s\"k%d\":%s", i ? "," : "", i, value);
    }
    kj__buffer_append_text(&text, "}}");
    struct kj_push_config *config;
    enum kj_status status = kj_push_config_decode(text.data, text.len, KJ_ENCODING_JSON, &config,
                                                  NULL);
    kj_push_config_free(config);
    kj__buffer_fini(&text);
    return status;
}

static void push_config_is_limited(void **state)
{
    (void)state;
    assert_int_equal(decode_many("identities", 1024, "null"), KJ_OK);
    assert_int_equal(decode_many("identities", 1025, "null"), KJ_ELIMIT);
    assert_int_equal(decode_many("parameters", 64, "[\"a\",\"b\"]"), KJ_OK);
    assert_int_equal(decode_many("parameters", 65, "[\"a\",\"b\"]"), KJ_ELIMIT);
    assert_int_equal(decode_many("parameters", 1025, "[]"), KJ_ELIMIT);
}

static void push_config_limits_filter_texts(void **state)
{
    (void)state;
    char filter[4098] = {0};
    char text[5000];
    struct kj_push_config *config;

    memset(filter, 'x', 4096);
    (void)snprintf(text, sizeof text, "[{\"a\":null},{\"a\":\"%s\"}]", filter);
    config = accept(text);
    assert_string_equal(kj_push_config_filter(config, "a"), filter);
    kj_push_config_free(config);
    filter[4096] = 'x';
    (void)snprintf(text, sizeof text, "[{\"a\":null},{\"a\":\"%s\"}]", filter);

    assert_int_equal(decode(text, &config, NULL), KJ_ELIMIT);
}

static enum kj_status decode_types(int count)
{
    struct kj__buffer text;
    kj__buffer_init(&text);
    kj__buffer_append_text(&text, "{\"identities\":{\"a\":[\"t0\"");
    for (int i = 1; i < count; i++) {
        kj__buffer_printf(&text, ",\"t%d\"", i);
    }
    kj__buffer_append_text(&text, "]}}");
    struct kj_push_config *config;
    enum kj_status status = kj_push_config_decode(text.data, text.len, KJ_ENCODING_JSON, &config,
                                                  NULL);
    if (!status) {
        char last[16];
        (void)snprintf(last, sizeof last, "t%d", count - 1);
        assert_true(kj_push_config_wants(config, "a", last));
        assert_false(kj_push_config_wants(config, "a", "t"));
    }
    kj_push_config_free(config);
    kj__buffer_fini(&text);
    return status;
}

static void push_config_limits_types_and_nesting(void **state)
{
    (void)state;
    char nested[66] = {0};
    struct kj_push_config *config;
    memset(nested, '[', 65);

    assert_int_equal(decode_types(64), KJ_OK);
    assert_int_equal(decode_types(65), KJ_ELIMIT);
    assert_int_equal(decode(nested, &config, NULL), KJ_ELIMIT);
}

static void no_push_config_wants_everything(void **state)
{
    (void)state;
    assert_true(kj_push_config_wants(NULL, "list", "create"));
    assert_null(kj_push_config_filter(NULL, "list"));
    kj_push_config_parameters(NULL, visit, NULL);
    kj_push_config_free(NULL);
}

static void parameters_keep_their_order(void **state)
{
    (void)state;
    struct kj_push_config *config = accept(
        "{\"parameters\":{\"k\":[\"v2\",\"v1\",\"\"],\"a\":null,\"b\":[\"x\"]}}");
    struct kj__buffer seen;
    kj__buffer_init(&seen);

    kj_push_config_parameters(config, visit, &seen);

    assert_bytes_text(seen.data, seen.len, "k=v2;k=v1;k=;b=x;");
    kj__buffer_fini(&seen);
    kj_push_config_free(config);
}

static void assert_encodes(const char *const *identities, const char *json, const char *hex)
{
    uint8_t *bytes;
    size_t len;
    assert_int_equal(kj_push_config_encode(identities, KJ_ENCODING_JSON, &bytes, &len), KJ_OK);
    assert_bytes_text(bytes, len, json);
    free(bytes);
    assert_int_equal(kj_push_config_encode(identities, KJ_ENCODING_MSGPACK, &bytes, &len), KJ_OK);
    assert_bytes_hex(bytes, len, hex);
    free(bytes);
}

static void push_config_is_written_as_the_client_does(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    static const char *const some[] = {"task", "list:create,update", NULL};

    assert_encodes(none, "{\"filters\":{},\"identities\":{},\"parameters\":null}",
                   "83a766696c7465727380aa6964656e74697469657380aa706172616d6574657273c0");
    assert_encodes(some,
                   "{\"filters\":{},\"identities\":{\"list\":[\"create\",\"update\"],\"task\":null}"
                   ",\"parameters\":null}",
                   "83a766696c7465727380aa6964656e74697469657382a46c69737492a6637265617465a6757064"
                   "617465a47461736bc0aa706172616d6574657273c0");
}

static void push_config_refuses_to_write_nameless_identities(void **state)
{
    (void)state;
    static const char *const nameless[] = {":create", NULL};
    static const char *const invalid[] = {"\xff", NULL};
    uint8_t *bytes;
    size_t len;

    assert_int_equal(kj_push_config_encode(nameless, KJ_ENCODING_JSON, &bytes, &len), KJ_EINVAL);
    assert_null(bytes);
    assert_int_equal(kj_push_config_encode(invalid, KJ_ENCODING_JSON, &bytes, &len), KJ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_config_reads_the_json_vector),
        cmocka_unit_test(push_config_reads_the_msgpack_vector),
        cmocka_unit_test(push_config_accepts_the_shapes_bahamut_does),
        cmocka_unit_test(push_config_refuses_other_shapes_with_a_text),
        cmocka_unit_test(push_config_refuses_reserved_msgpack),
        cmocka_unit_test(push_config_filters_need_their_identity),
        cmocka_unit_test(push_config_is_limited),
        cmocka_unit_test(push_config_limits_filter_texts),
        cmocka_unit_test(push_config_limits_types_and_nesting),
        cmocka_unit_test(no_push_config_wants_everything),
        cmocka_unit_test(parameters_keep_their_order),
        cmocka_unit_test(push_config_is_written_as_the_client_does),
        cmocka_unit_test(push_config_refuses_to_write_nameless_identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
