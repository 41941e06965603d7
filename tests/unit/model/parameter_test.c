/* parameter_test.c - query parameters declared in a model, and the values they take. */
#include "make.h"

#include "model/identity.h"
#include "model/parameter.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char head[] = "{\"identities\":[{\"name\":\"a\",\"category\":\"as\"}],\"relations\":["
                           "{\"child\":\"a\",\"operations\":[\"delete\",\"retrieve-many\"],\n";

/* What is refused behind the head, and the words behind "model.json:2: relations[0]". */
static const struct {
    const char *text, *fault;
} faults[] = {
    {"\"parameters\":5}]}", ": parameters must be a list of objects"},
    {"\"parameters\":[{}]}]}", ".parameters[0]: name is missing or empty"},
    {"\"parameters\":[{\"name\":\"x\",\"typ\":1}]}]}", ".parameters[0]: unknown member \"typ\""},
    {"\"parameters\":[{\"name\":\"x\",\"type\":\"list\"}]}]}",
     ".parameters[0]: unknown type \"list\""},
    {"\"parameters\":[{\"name\":\"q\"}]}]}", ".parameters[0]: parameter \"q\" is built in"},
    {"\"parameters\":[{\"name\":\"pagesize\"}]}]}",
     ".parameters[0]: parameter \"pagesize\" is built in"},
    {"\"parameters\":[{\"name\":\"x\"},{\"name\":\"x\"}]}]}",
     ".parameters[1]: parameter \"x\" is declared twice"},
    {"\"parameters\":[{\"name\":\"x\",\"operations\":[\"create\"]}]}]}",
     ".parameters[0]: the relation does not allow every operation"},
    {"\"parameters\":[{\"name\":\"x\",\"type\":\"enum\"}]}]}",
     ".parameters[0]: an enum needs the values it may have"},
    {"\"parameters\":[{\"name\":\"x\",\"type\":\"enum\",\"allowed\":[]}]}]}",
     ".parameters[0]: an enum needs the values it may have"},
    {"\"parameters\":[{\"name\":\"x\",\"allowed\":[\"y\"]}]}]}",
     ".parameters[0]: allowed is for enums only"},
    {"\"parameters\":[{\"name\":\"x\",\"type\":\"integer\",\"default\":\"y\"}]}]}",
     ".parameters[0]: the default \"y\" is not of the type"},
    {"\"parameters\":[{\"name\":\"x\",\"default\":[]}]}]}",
     ".parameters[0]: default must be a string, a number, true or false"},
    {"\"requirements\":[{}]}]}", ".requirements[0]: any_of is missing or empty"},
    {"\"requirements\":[{\"any_of\":[]}]}]}", ".requirements[0]: any_of is missing or empty"},
    {"\"requirements\":[{\"any_of\":[\"x\"]}]}]}",
     ".requirements[0]: \"x\" is not a parameter of all these operations"},
    {"\"parameters\":[{\"name\":\"x\",\"operations\":[\"delete\"]}],"
     "\"requirements\":[{\"any_of\":[\"x\"]}]}]}",
     ".requirements[0]: \"x\" is not a parameter of all these operations"},
    {"\"parameters\":[{\"name\":\"x\"}],\"requirements\":[{\"any_of\":[\"x  x\"]}]}]}",
     ".requirements[0]: a set is names with one blank between two"},
    {"\"parameters\":[{\"name\":\"x\"}],\"requirements\":[{\"any_of\":[\"x \"]}]}]}",
     ".requirements[0]: a set is names with one blank between two"},
    {"\"parameters\":[{\"name\":\"x\"}],\"requirements\":[{\"any_of\":[\"\"]}]}]}",
     ".requirements[0]: a set is names with one blank between two"},
    {"\"parameters\":[{\"name\":\"x\"}],"
     "\"requirements\":[{\"any_of\":[\"x\"],\"operations\":[\"info\"]}]}]}",
     ".requirements[0]: the relation does not allow every operation"},
};

static struct kj_model *parse(const char *members)
{
    char text[2048];
    struct kj_model *model;
    struct kj_error error = {.text = ""};
    (void)snprintf(text, sizeof text, "%s%s", head, members);
    if (kj_model_parse(text, strlen(text), "model.json", &model, &error)) {
        fail_msg("%s", error.text);
    }
    return model;
}

static void faults_are_told_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++) {
        char text[2048];
        char wanted[512];
        struct kj_model *model;
        struct kj_error error = {.text = ""};
        (void)snprintf(text, sizeof text, "%s%s", head, faults[i].text);
        (void)snprintf(wanted, sizeof wanted, "model.json:2: relations[0]%s", faults[i].fault);

        assert_int_equal(kj_model_parse(text, strlen(text), "model.json", &model, &error),
                         KJ_EINVAL);

        assert_null(model);
        assert_string_equal(error.text, wanted);
    }
}

static void a_name_may_come_again_for_another_operation(void **state)
{
    (void)state;
    struct kj_model *model = parse(
        "\"parameters\":[{\"name\":\"x\",\"operations\":[\"delete\"]},"
        "{\"name\":\"x\",\"type\":\"integer\",\"default\":-5,\"operations\":[\"retrieve-many\"]}],"
        "\"requirements\":[{\"any_of\":[\"x\"]}]}]}");
    const struct kj__parameters *parameters = kj__model_parameters(model, NULL,
                                                                   kj_model_identity(model, "a"));

    assert_int_equal(parameters->count, 2);
    assert_int_equal(parameters->at[0].operations, KJ_OP_DELETE);
    assert_string_equal(parameters->at[1].initial, "-5");
    assert_int_equal(parameters->at[1].operations, KJ_OP_RETRIEVE_MANY);
    kj_model_free(model);
}

/* Whether a text is a value, and which: as integer, boolean, nanoseconds or thousandths. */
static const struct {
    enum kj_parameter_type type;
    const char *text;
    bool is_value;
    int64_t value;
} values[] = {
    {KJ_PARAMETER_INTEGER, "0", true, 0},
    {KJ_PARAMETER_INTEGER, "-12", true, -12},
    {KJ_PARAMETER_INTEGER, "+12", true, 12},
    {KJ_PARAMETER_INTEGER, "9223372036854775807", true, INT64_MAX},
    {KJ_PARAMETER_INTEGER, "-9223372036854775808", true, INT64_MIN},
    {KJ_PARAMETER_INTEGER, "9223372036854775808", false, 0},
    {KJ_PARAMETER_INTEGER, "", false, 0},
    {KJ_PARAMETER_INTEGER, "-", false, 0},
    {KJ_PARAMETER_INTEGER, " 1", false, 0},
    {KJ_PARAMETER_INTEGER, "1 ", false, 0},
    {KJ_PARAMETER_INTEGER, "1.0", false, 0},
    {KJ_PARAMETER_INTEGER, "0x10", false, 0},
    {KJ_PARAMETER_FLOAT, "1.5", true, 1500},
    {KJ_PARAMETER_FLOAT, "-2e1", true, -20000},
    {KJ_PARAMETER_FLOAT, "7", true, 7000},
    {KJ_PARAMETER_FLOAT, "nan", false, 0},
    {KJ_PARAMETER_FLOAT, "inf", false, 0},
    {KJ_PARAMETER_FLOAT, "1e999", false, 0},
    {KJ_PARAMETER_FLOAT, "", false, 0},
    {KJ_PARAMETER_BOOLEAN, "true", true, 1},
    {KJ_PARAMETER_BOOLEAN, "YES", true, 1},
    {KJ_PARAMETER_BOOLEAN, "1", true, 1},
    {KJ_PARAMETER_BOOLEAN, "False", true, 0},
    {KJ_PARAMETER_BOOLEAN, "no", true, 0},
    {KJ_PARAMETER_BOOLEAN, "0", true, 0},
    {KJ_PARAMETER_BOOLEAN, "", true, 0},
    {KJ_PARAMETER_BOOLEAN, "maybe", false, 0},
    {KJ_PARAMETER_DURATION, "1h30m", true, 5400000000000},
    {KJ_PARAMETER_DURATION, "250ms", true, 250000000},
    {KJ_PARAMETER_DURATION, "-1.5s", true, -1500000000},
    {KJ_PARAMETER_DURATION, "0", true, 0},
    {KJ_PARAMETER_DURATION, "5", false, 0},
    {KJ_PARAMETER_DURATION, "", false, 0},
    {KJ_PARAMETER_DURATION, "1d", false, 0},
    {KJ_PARAMETER_TIME, "2021-03-04T05:06:07Z", true, 1614834367000},
    {KJ_PARAMETER_TIME, "2021-03-04T07:06:07.5+02:00", true, 1614834367500},
    {KJ_PARAMETER_TIME, "2021-03-04 05:06:07", true, 1614834367000},
    {KJ_PARAMETER_TIME, "2021-03-04 05:06", true, 1614834360000},
    {KJ_PARAMETER_TIME, "2021-03-04", true, 1614816000000},
    {KJ_PARAMETER_TIME, "1614834367", true, 1614834367000},
    {KJ_PARAMETER_TIME, "1614834367500", true, 1614834367500},
    {KJ_PARAMETER_TIME, "2021-03-04x05:06:07", false, 0},
    {KJ_PARAMETER_TIME, "2021-13-04", false, 0},
    {KJ_PARAMETER_TIME, "16148343670", false, 0},
    {KJ_PARAMETER_TIME, "now", false, 0},
    {KJ_PARAMETER_TIME, "", false, 0},
};

static int64_t number_of(enum kj_parameter_type type, const union kj__parameter_value *value)
{
    switch (type) {
    case KJ_PARAMETER_FLOAT:
        return (int64_t)(value->real * 1000);
    case KJ_PARAMETER_BOOLEAN:
        return value->boolean;
    case KJ_PARAMETER_TIME:
        return value->time.seconds * 1000 + value->time.nanoseconds / 1000000;
    case KJ_PARAMETER_DURATION:
        return value->duration_ns;
    default:
        return value->integer;
    }
}

static void values_are_read_by_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct kj__parameter parameter = {.type = values[i].type};
        union kj__parameter_value value;
        bool is_value = kj__parameter_read(&parameter, values[i].text, &value);
        if (is_value != values[i].is_value ||
            (is_value && number_of(values[i].type, &value) != values[i].value)) {
            fail_msg("type %d, \"%s\"", (int)values[i].type, values[i].text);
        }
    }
}

/* Whether a name of one letter is in a text. */
static bool is_among(const char *name, size_t len, const void *ctx)
{
    assert_int_equal(len, 1);
    return strchr(ctx, *name) != NULL;
}

static void requirements_are_ands_of_ors_of_ands(void **state)
{
    (void)state;
    static const struct {
        const char *requirements, *text;
        const char *enough[4], *too_few[4];
    } cases[] = {
        {"[{\"any_of\":[\"a\"]}]", "a", {"a", "ab"}, {"", "b"}},
        {"[{\"any_of\":[\"a b\"]}]", "a and b", {"ab", "abc"}, {"a", "b", ""}},
        {"[{\"any_of\":[\"a b\",\"c\"]}]", "(a and b) or (c)", {"c", "ab", "abc"}, {"a", "b"}},
        {"[{\"any_of\":[\"a\"]},{\"any_of\":[\"b\",\"c d\"]}]",
         "(a) and ((b) or (c and d))",
         {"ab", "acd"},
         {"b", "a", "ac", "bcd"}},
        {"[{\"any_of\":[\"a\"],\"operations\":[\"retrieve-many\"]}]", "", {"", "b"}, {NULL}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[1024];
        (void)snprintf(text, sizeof text,
                       "\"parameters\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"},"
                       "{\"name\":\"d\"}],\"requirements\":%s}]}",
                       cases[i].requirements);
        struct kj_model *model = parse(text);
        const struct kj__parameters *parameters = kj__model_parameters(
            model, NULL, kj_model_identity(model, "a"));
        for (size_t j = 0; j < 4 && cases[i].enough[j]; j++) {
            assert_true(
                kj__parameters_suffice(parameters, KJ_OP_DELETE, is_among, cases[i].enough[j]));
        }
        for (size_t j = 0; j < 4 && cases[i].too_few[j]; j++) {
            assert_false(
                kj__parameters_suffice(parameters, KJ_OP_DELETE, is_among, cases[i].too_few[j]));
        }
        struct kj__buffer out;
        kj__buffer_init(&out);
        kj__parameters_write_required(parameters, KJ_OP_DELETE, &out);
        kj__buffer_append_byte(&out, '\0');
        assert_string_equal(out.data, cases[i].text);
        kj__buffer_fini(&out);
        kj_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_told_with_their_place),
        cmocka_unit_test(a_name_may_come_again_for_another_operation),
        cmocka_unit_test(values_are_read_by_type),
        cmocka_unit_test(requirements_are_ands_of_ors_of_ands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
