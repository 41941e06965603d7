/* declaration_test.c - models declared in C: what is refused, what can be looked up. */
#include "make.h"

#include "model/identity.h"

#include <math.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_refused(const struct kj_model_spec *spec, const char *text)
{
    struct kj_error error = {.text = ""};
    struct kj_model *model = (void *)1;
    assert_int_equal(kj_model_new(spec, &model, &error), KJ_EINVAL);
    assert_string_equal(error.text, text);
    assert_null(model);
}

static void assert_attribute_refused(struct kj_attribute_spec attribute, const char *text)
{
    struct kj_error error = {.text = ""};
    struct kj_model *model = NULL;
    assert_int_equal(make_thing(&attribute, 1, &model, &error), KJ_EINVAL);
    char wanted[KJ_ERROR_TEXT_MAX];
    snprintf(wanted, sizeof wanted, "identity \"thing\", attribute \"%s\": %s", attribute.name,
             text);
    assert_string_equal(error.text, wanted);
}

static void assert_attribute_accepted(struct kj_attribute_spec attribute)
{
    struct kj_error error = {.text = ""};
    struct kj_model *model = NULL;
    enum kj_status status = make_thing(&attribute, 1, &model, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, KJ_OK);
    kj_model_free(model);
}

static void assert_identities_refused(const struct kj_identity_spec *identities, size_t count,
                                      const char *text)
{
    struct kj_model_spec spec = {.identities = identities, .identity_count = count};
    assert_refused(&spec, text);
}

static void model_refuses_bad_identity_names(void **state)
{
    (void)state;
    assert_identities_refused(&(struct kj_identity_spec){.category = "a"}, 1,
                              "identities[0]: name is missing or empty");
    assert_identities_refused(&(struct kj_identity_spec){.name = "", .category = "a"}, 1,
                              "identities[0]: name is missing or empty");
    assert_identities_refused(
        &(struct kj_identity_spec){.name = "a.b", .category = "a"}, 1,
        "identities[0]: name \"a.b\" has other characters than A-Z a-z 0-9 _ -");
    assert_identities_refused(&(struct kj_identity_spec){.name = "root", .category = "a"}, 1,
                              "identities[0]: the name \"root\" is reserved");
    assert_identities_refused(
        &(struct kj_identity_spec){.name = "a", .category = "a/b"}, 1,
        "identity \"a\": category \"a/b\" has other characters than A-Z a-z 0-9 _ -");
    assert_identities_refused(&(struct kj_identity_spec){.name = "a"}, 1,
                              "identity \"a\": category is missing or empty");
    char long_name[200] = {0};
    memset(long_name, 'x', sizeof long_name - 1);
    assert_identities_refused(&(struct kj_identity_spec){.name = long_name, .category = "a"}, 1,
                              "identities[0]: name is longer than 128 characters");
}

static void model_refuses_names_taken_in_the_same_version(void **state)
{
    (void)state;
    const struct kj_identity_spec same_name[] = {{.name = "a", .category = "as"},
                                                 {.name = "a", .category = "bs"}};
    assert_identities_refused(same_name, 2, "identity \"a\": the name is taken in version 1");
    const struct kj_identity_spec same_category[] = {{.name = "a", .category = "as"},
                                                     {.name = "b", .category = "as"}};
    assert_identities_refused(
        same_category, 2,
        "identity \"b\": category \"as\" is taken by identity \"a\" in version 1");
    const struct kj_identity_spec third[] = {{.name = "a", .category = "as"},
                                             {.name = "a", .category = "as", .version = 2},
                                             {.name = "b", .category = "as", .version = 2}};
    assert_identities_refused(
        third, 3, "identity \"b\": category \"as\" is taken by identity \"a\" in version 2");
}

static void model_refuses_no_identities_and_bad_versions(void **state)
{
    (void)state;
    struct kj_identity_spec identity = {.name = "a", .category = "as"};
    assert_identities_refused(NULL, 0, "a model needs at least one identity");
    assert_refused(&(struct kj_model_spec){-1, &identity, 1, NULL, 0},
                   "the version must be above 0");
    identity.version = -2;
    assert_identities_refused(&identity, 1, "identity \"a\": the version must be above 0");
}

static void model_keeps_one_name_in_several_versions(void **state)
{
    (void)state;
    const struct kj_identity_spec identities[] = {
        {.name = "task", .category = "tasks", .version = 3},
        {.name = "task", .category = "tasks"},
        {.name = "task", .category = "tasks", .version = 5},
    };
    const struct kj_relation_spec relation = {.child = "task", .operations = KJ_OP_CREATE};
    struct kj_model_spec spec = {.version = 2,
                                 .identities = identities,
                                 .identity_count = COUNT(identities),
                                 .relations = &relation,
                                 .relation_count = 1};
    struct kj_model *model;
    assert_int_equal(kj_model_new(&spec, &model, NULL), KJ_OK);

    const struct kj_identity *first = kj_model_identity_at(model, 0);
    const struct kj_identity *second = kj_model_identity_at(model, 1);
    assert_int_equal(kj_model_identity_count(model), 3);
    assert_ptr_equal(kj_model_identity(model, "task"), first);
    assert_ptr_equal(kj__model_by_category(model, 0, "tasks"), first);
    assert_ptr_equal(kj__model_by_category(model, 2, "tasks"), second);
    assert_ptr_equal(kj__model_by_category(model, 5, "tasks"), kj_model_identity_at(model, 2));
    assert_null(kj__model_by_category(model, 4, "tasks"));
    assert_null(kj__model_by_category(model, 0, "nothings"));
    assert_null(kj_model_identity(model, "nothing"));
    assert_null(kj_model_identity_at(model, 3));
    assert_int_equal(kj_identity_version(second), 2);
    assert_true(kj__model_has_version(model, 0));
    assert_true(kj__model_has_version(model, 5));
    assert_false(kj__model_has_version(model, 1));
    assert_true(kj__model_allows(model, NULL, second, KJ_OP_CREATE));
    assert_true(kj__model_allows(model, NULL, first, KJ_OP_CREATE));
    kj_model_free(model);
}

static void model_copies_what_it_is_given(void **state)
{
    (void)state;
    char name[] = "thing", allowed[] = "x", text[] = "\"x\"";
    const char *list[] = {allowed, NULL};
    struct kj_attribute_spec attribute = {
        .name = "kind", .allowed = list, .default_json = text, .pattern = "^x$"};
    struct kj_identity_spec identity = {
        .name = name, .category = "things", .attributes = &attribute, .attribute_count = 1};
    struct kj_model *model;
    assert_int_equal(kj_model_new(&(struct kj_model_spec){0, &identity, 1, NULL, 0}, &model, NULL),
                     KJ_OK);

    memset(name, '!', sizeof name - 1);
    memset(allowed, '!', sizeof allowed - 1);
    memset(text, '!', sizeof text - 1);

    const struct kj_identity *thing = kj_model_identity(model, "thing");
    assert_string_equal(kj_identity_name(thing), "thing");
    assert_string_equal(kj_identity_category(thing), "things");
    json_t *object = json_object(), *errors = json_array();
    assert_int_equal(kj__identity_conform(thing, object, true, NULL), KJ_OK);
    assert_string_equal(json_string_value(json_object_get(object, "kind")), "x");
    assert_true(kj__identity_validate(thing, object, false, errors, NULL));
    json_decref(errors);
    json_decref(object);
    kj_model_free(model);
}

static void every_identity_has_id_and_parent(void **state)
{
    (void)state;
    struct kj_model *model;
    assert_int_equal(make_thing(NULL, 0, &model, NULL), KJ_OK);
    const struct kj_identity *thing = kj_model_identity(model, "thing");
    assert_true(kj__identity_has_attribute(thing, "ID"));
    assert_true(kj__identity_has_attribute(thing, "parentID"));
    assert_true(kj__identity_has_attribute(thing, "parentType"));
    assert_false(kj__identity_has_attribute(thing, "name"));
    kj_model_free(model);
    assert_attribute_refused((struct kj_attribute_spec){.name = "ID", .type = KJ_TYPE_INTEGER},
                             "ID is always a string");
    assert_attribute_accepted((struct kj_attribute_spec){.name = "ID", .required = true});
}

static void model_refuses_bad_attribute_names(void **state)
{
    (void)state;
    const struct kj_attribute_spec twice[] = {{.name = "a"}, {.name = "b"}, {.name = "a"}};
    struct kj_error error;
    struct kj_model *model;
    assert_int_equal(make_thing(twice, 3, &model, &error), KJ_EINVAL);
    assert_string_equal(error.text, "identity \"thing\": attribute \"a\" is declared twice");
    assert_int_equal(make_thing(&(struct kj_attribute_spec){0}, 1, &model, &error), KJ_EINVAL);
    assert_string_equal(error.text, "identity \"thing\": name is missing or empty");
    assert_int_equal(make_thing(&(struct kj_attribute_spec){.name = "a b"}, 1, &model, &error),
                     KJ_EINVAL);
    assert_string_equal(
        error.text, "identity \"thing\": name \"a b\" has other characters than A-Z a-z 0-9 _ -");
}

static void model_refuses_members_that_do_not_suit_the_type(void **state)
{
    (void)state;
    const char *const allowed[] = {"a", NULL}, *const none[] = {NULL};
    const char *const twice[] = {"a", "b", "a", NULL};
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .type = (enum kj_attribute_type)8},
        "unknown type 8");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .type = KJ_TYPE_LIST, .items = KJ_TYPE_LIST},
        "the items of a list cannot be lists");
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .items = KJ_TYPE_TIME},
                             "items is for lists only");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .type = KJ_TYPE_INTEGER, .allowed = allowed},
        "allowed is for strings only");
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .allowed = none},
                             "allowed is empty");
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .allowed = twice},
                             "\"a\" is allowed twice");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .type = KJ_TYPE_TIME, .pattern = "x"},
        "pattern is for strings only");
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .has_maximum = true},
                             "maximum is for integers and floats only");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .type = KJ_TYPE_FLOAT, .min_length = 1},
        "min_length is for strings, lists and bytes only");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .required = true, .read_only = true},
        "required, read_only and without a default: no write can succeed");
}

static void model_refuses_empty_ranges(void **state)
{
    (void)state;
    assert_attribute_refused((struct kj_attribute_spec){.name = "a",
                                                        .type = KJ_TYPE_INTEGER,
                                                        .has_minimum = true,
                                                        .minimum = 2,
                                                        .has_maximum = true,
                                                        .maximum = 1},
                             "minimum is above maximum");
    assert_attribute_refused(
        (struct kj_attribute_spec){
            .name = "a", .type = KJ_TYPE_FLOAT, .has_minimum = true, .minimum = (double)NAN},
        "minimum is not a number");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .min_length = 3, .max_length = 2},
        "min_length is above max_length");
    assert_attribute_accepted((struct kj_attribute_spec){.name = "a", .min_length = 3});
}

static void model_refuses_patterns_that_do_not_compile_or_refer_back(void **state)
{
    (void)state;
    static const char *const refer_back[] = {"(a)\\1", "([\\]a)\\1", "[]\\](a)\\2", "\\\\\\9"};
    static const char *const fine[] = {"\\\\1", "^[a-z]+$", "\\.[0-9]\\\\", "a\\.1"};
    for (size_t i = 0; i < COUNT(refer_back); i++) {
        assert_attribute_refused((struct kj_attribute_spec){.name = "a", .pattern = refer_back[i]},
                                 "pattern has a back-reference, which takes more than linear time");
    }
    for (size_t i = 0; i < COUNT(fine); i++) {
        assert_attribute_accepted((struct kj_attribute_spec){.name = "a", .pattern = fine[i]});
    }
    struct kj_error error;
    struct kj_model *model;
    struct kj_attribute_spec broken = {.name = "a", .pattern = "(x"};
    assert_int_equal(make_thing(&broken, 1, &model, &error), KJ_EINVAL);
    assert_non_null(strstr(error.text, "identity \"thing\", attribute \"a\": pattern: "));
}

static void model_refuses_patterns_that_repeat_too_much(void **state)
{
    (void)state;
    static const char refusal[] =
        "pattern repeats too much: more than 2000 pieces, or 50 groups deep";
    static const char *const large[] = {
        "a++++++++++++++",  "((a{101}){101})",     "(((((((((((((((a)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+",
        "[]+]{99}{99}{99}", "a{x+}++++++++++++++", "[[:alpha:]]{200}{99}",
    };
    static const char *const fine[] = {"([a-z]{1,50}[.]){0,20}[a-z]{2,50}",
                                       "[++++++++++++++++++]",
                                       "\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+\\+",
                                       "a************",
                                       "^[]{99}{99}{99}]$",
                                       "(a{40}){40}"};
    for (size_t i = 0; i < COUNT(large); i++) {
        assert_attribute_refused((struct kj_attribute_spec){.name = "a", .pattern = large[i]},
                                 refusal);
    }
    for (size_t i = 0; i < COUNT(fine); i++) {
        assert_attribute_accepted((struct kj_attribute_spec){.name = "a", .pattern = fine[i]});
    }
    char deep[2 * 51 + 1];
    memset(deep, '(', 51);
    memset(deep + 51, ')', 51);
    deep[2 * 51] = '\0';
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .pattern = deep}, refusal);
}

static void model_refuses_defaults_that_do_not_fit(void **state)
{
    (void)state;
    const char *const allowed[] = {"b", "a", NULL};
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .default_json = "1"},
                             "the default must be a string");
    assert_attribute_refused((struct kj_attribute_spec){.name = "a", .default_json = "null"},
                             "the default must be a string");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .type = KJ_TYPE_TIME, .default_json = "\"now\""},
        "the default must be an RFC 3339 time");
    assert_attribute_refused((struct kj_attribute_spec){.name = "a",
                                                        .type = KJ_TYPE_LIST,
                                                        .items = KJ_TYPE_INTEGER,
                                                        .default_json = "[1,\"x\"]"},
                             "the default must be a list whose items are each an integer");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .allowed = allowed, .default_json = "\"c\""},
        "the default does not fit: Data 'c' of attribute 'a' is not in list '[a b]'");
    assert_attribute_refused(
        (struct kj_attribute_spec){.name = "a", .min_length = 1, .default_json = "\"\""},
        "the default does not fit: Data '' of attribute 'a' must have a length of at least 1");
    struct kj_error error;
    struct kj_model *model;
    struct kj_attribute_spec broken = {.name = "a", .default_json = "\"x\" y"};
    assert_int_equal(make_thing(&broken, 1, &model, &error), KJ_EINVAL);
    assert_non_null(strstr(error.text, "attribute \"a\": the default is not JSON: "));
}

static void model_refuses_bad_relations(void **state)
{
    (void)state;
    const struct kj_identity_spec identity = {.name = "a", .category = "as"};
    static const struct {
        struct kj_relation_spec relation;
        const char *text;
    } cases[] = {
        {{.operations = KJ_OP_ALL}, "relations[0]: child is missing"},
        {{.child = "b", .operations = KJ_OP_ALL}, "relations[0]: child \"b\" is not an identity"},
        {{.parent = "b", .child = "a", .operations = KJ_OP_ALL},
         "relations[0]: parent \"b\" is not an identity"},
        {{.child = "root", .operations = KJ_OP_ALL}, "relations[0]: root cannot be a child"},
        {{.child = "a"}, "relations[0]: operations is missing or empty"},
        {{.child = "a", .operations = 1 << 7}, "relations[0]: unknown operation in 0x80"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_refused(&(struct kj_model_spec){1, &identity, 1, &cases[i].relation, 1},
                       cases[i].text);
    }
    const struct kj_relation_spec twice[] = {
        {.parent = "root", .child = "a", .operations = KJ_OP_CREATE},
        {.child = "a", .operations = KJ_OP_DELETE}};
    assert_refused(&(struct kj_model_spec){1, &identity, 1, twice, 2},
                   "relations[1]: the relation of \"root\" to \"a\" is declared twice");
}

static void operations_have_bahamuts_names(void **state)
{
    (void)state;
    assert_string_equal(kj_operation_name(KJ_OP_RETRIEVE_MANY), "retrieve-many");
    assert_string_equal(kj_operation_name(KJ_OP_RETRIEVE), "retrieve");
    assert_string_equal(kj_operation_name(KJ_OP_CREATE), "create");
    assert_string_equal(kj_operation_name(KJ_OP_UPDATE), "update");
    assert_string_equal(kj_operation_name(KJ_OP_PATCH), "patch");
    assert_string_equal(kj_operation_name(KJ_OP_DELETE), "delete");
    assert_string_equal(kj_operation_name(KJ_OP_INFO), "info");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_refuses_bad_identity_names),
        cmocka_unit_test(model_refuses_names_taken_in_the_same_version),
        cmocka_unit_test(model_refuses_no_identities_and_bad_versions),
        cmocka_unit_test(model_keeps_one_name_in_several_versions),
        cmocka_unit_test(model_copies_what_it_is_given),
        cmocka_unit_test(every_identity_has_id_and_parent),
        cmocka_unit_test(model_refuses_bad_attribute_names),
        cmocka_unit_test(model_refuses_members_that_do_not_suit_the_type),
        cmocka_unit_test(model_refuses_empty_ranges),
        cmocka_unit_test(model_refuses_patterns_that_do_not_compile_or_refer_back),
        cmocka_unit_test(model_refuses_patterns_that_repeat_too_much),
        cmocka_unit_test(model_refuses_defaults_that_do_not_fit),
        cmocka_unit_test(model_refuses_bad_relations),
        cmocka_unit_test(operations_have_bahamuts_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
