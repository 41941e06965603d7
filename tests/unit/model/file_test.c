/* file_test.c - models read from JSON: every fault is told with its line. */
#include "make.h"

#include "model/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static enum kj_status parse(const char *text, struct kj_model **model, struct kj_error *error)
{
    return kj_model_parse(text, strlen(text), "model.json", model, error);
}

static void assert_refused(const char *text, enum kj_status status, const char *wanted)
{
    struct kj_error error = {.text = ""};
    struct kj_model *model = (void *)1;
    /* An exact copy, so that the sanitizer sees a read past the end. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    assert_int_equal(kj_model_parse(copy, len, "model.json", &model, &error), status);
    free(copy);
    assert_null(model);
    assert_string_equal(error.text, wanted);
}

static void parse_names_line_identity_and_attribute(void **state)
{
    (void)state;
    static const char text[] = "{\n"
                               "  \"identities\": [\n"
                               "    {\"name\": \"list\", \"category\": \"lists\"},\n"
                               "    {\"name\": \"task\", \"category\": \"tasks\",\n"
                               "     \"attributes\": [\n"
                               "       {\"name\": \"title\"},\n"
                               "       {\"name\": \"status\",\n"
                               "        \"type\": \"strin\"}]}]}";
    struct kj_error error;
    struct kj_model *model;
    assert_int_equal(parse(text, &model, &error), KJ_EINVAL);
    assert_string_equal(
        error.text,
        "model.json:8: identity \"task\", attribute \"status\": unknown type \"strin\"");
    assert_memory_equal(text + error.position, "\"type\"", 6);
}

static void locator_is_not_misled_by_brackets_in_strings(void **state)
{
    (void)state;
    assert_refused(
        "{\"description\": \"]}\\\\\",\n"
        " \"identities\": [\n"
        "  {\"name\": \"a\", \"category\": \"as\", \"description\": \"[{\\\"name\\\"\"},\n"
        "  {\"category\": \"bs\", \"attributes\": [{\"name\": \"x\", \"default\": \"}]\"},\n"
        "   {\"name\": \"y\", \"type\": \"object\", \"default\": {\"type\": [1, 2]},\n"
        "    \"required\":\n"
        "      1}],\n"
        "   \"name\": \"b\"}]}",
        KJ_EINVAL, "model.json:6: identity \"b\", attribute \"y\": required must be true or false");
}

static void parse_refuses_unknown_members_everywhere(void **state)
{
    (void)state;
    assert_refused("{\"identities\": [],\n\"x\": 1}", KJ_EINVAL,
                   "model.json:2: unknown member \"x\"");
    assert_refused("{\"identities\": [{\"name\": \"a\",\n\n\"plural\": \"as\"}]}", KJ_EINVAL,
                   "model.json:3: identity \"a\": unknown member \"plural\"");
    assert_refused("{\"identities\": [{\"name\": \"a\", \"attributes\": [\n"
                   "{\"name\": \"b\",\n\"readonly\": true}]}]}",
                   KJ_EINVAL,
                   "model.json:3: identity \"a\", attribute \"b\": unknown member \"readonly\"");
    assert_refused("{\"identities\": [{\"attributes\": [{\"name\": \"b\", \"x\": 1}]}]}", KJ_EINVAL,
                   "model.json:1: identities[0].attributes[0]: attribute \"b\": "
                   "unknown member \"x\"");
    assert_refused("{\"relations\": [{}, {\"child\": \"a\",\n\"allow\": []}]}", KJ_EINVAL,
                   "model.json:2: relations[1]: unknown member \"allow\"");
}

static void parse_refuses_members_of_the_wrong_shape(void **state)
{
    (void)state;
    static const struct {
        const char *member, *text;
    } cases[] = {
        {"\"type\": 1", "type must be a string"},
        {"\"pattern\": true", "pattern must be a string"},
        {"\"description\": 5", "description must be a string"},
        {"\"secret\": \"yes\"", "secret must be true or false"},
        {"\"min_length\": -1", "min_length must be a whole number of 0 or more"},
        {"\"max_length\": 1.5", "max_length must be a whole number of 0 or more"},
        {"\"minimum\": \"1\"", "minimum must be a number"},
        {"\"maximum\": null", "maximum must be a number"},
        {"\"allowed\": \"x\"", "allowed must be a list of strings"},
        {"\"allowed\": [\"x\", 1]", "allowed must be a list of strings"},
        {"\"allowed\": []", "allowed is empty"},
        {"\"pattern\": \"(a)\\\\1\"",
         "pattern has a back-reference, which takes more than linear time"},
        {"\"type\": \"list\", \"items\": \"list\"", "the items of a list cannot be lists"},
        {"\"default\": null", "the default must be a string"},
        {"\"default\": [1]", "the default must be a string"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[500], wanted[500];
        snprintf(text, sizeof text,
                 "{\"identities\": [{\"name\": \"a\", \"category\": \"as\",\n\"attributes\": ["
                 "{\"name\": \"b\",\n%s}]}]}",
                 cases[i].member);
        snprintf(wanted, sizeof wanted, "model.json:3: identity \"a\", attribute \"b\": %s",
                 cases[i].text);
        assert_refused(text, KJ_EINVAL, wanted);
    }
}

static void parse_refuses_bad_identities_and_relations(void **state)
{
    (void)state;
    assert_refused("[]", KJ_EINVAL, "model.json:1: a model is an object");
    assert_refused("7", KJ_EINVAL, "model.json:1: a model is an object");
    assert_refused("{}", KJ_EINVAL, "model.json:1: a model needs at least one identity");
    assert_refused("\n{\"version\": 0}", KJ_EINVAL,
                   "model.json:2: version must be a whole number above 0");
    assert_refused("{\"identities\": {}}", KJ_EINVAL,
                   "model.json:1: identities must be a list of objects");
    assert_refused("{\"identities\": [\n 1]}", KJ_EINVAL,
                   "model.json:2: identities[0]: identities must be a list of objects");
    assert_refused("{\"identities\": [\n{\"name\": \"a\"}]}", KJ_EINVAL,
                   "model.json:2: identity \"a\": category is missing or empty");
    assert_refused("{\"identities\": [{\"name\": \"a\", \"category\": \"as\"},\n"
                   "{\"category\": \"bs\"}]}",
                   KJ_EINVAL, "model.json:2: identities[1]: name is missing or empty");
    assert_refused("{\"identities\": [{\"name\": \"a\", \"category\": \"as\"}],\n"
                   "\"relations\": [{\"child\": \"a\", \"operations\": [\"create\",\n"
                   "\"replace\"]}]}",
                   KJ_EINVAL,
                   "model.json:3: relations[0].operations[1]: unknown operation \"replace\"");
    assert_refused(
        "{\"identities\": [{\"name\": \"a\", \"category\": \"as\"}], \"relations\": [\n"
        "{\"child\": \"a\", \"operations\": [\"all\"]},\n"
        "{\"child\": \"a\", \"parent\": \"root\", \"operations\": [\"info\"]}]}",
        KJ_EINVAL,
        "model.json:3: relations[1]: the relation of \"root\" to \"a\" is declared twice");
}

static void parse_relates_identities_whatever_their_order(void **state)
{
    (void)state;
    struct kj_model *model;
    assert_int_equal(parse("{\"identities\": [{\"name\": \"a\", \"category\": \"as\","
                           " \"related\": [\"b\", \"c\"]}, {\"name\": \"b\", \"category\": \"bs\"},"
                           " {\"name\": \"c\", \"category\": \"cs\", \"related\": []}]}",
                           &model, NULL),
                     KJ_OK);
    const char *const *related = kj__identity_related(kj_model_identity(model, "a"));
    assert_string_equal(related[0], "b");
    assert_string_equal(related[1], "c");
    assert_null(related[2]);
    assert_null(kj__identity_related(kj_model_identity(model, "b")));
    assert_null(kj__identity_related(kj_model_identity(model, "c")));
    kj_model_free(model);

    assert_refused("{\"identities\": [{\"name\": \"a\", \"category\": \"as\",\n\"related\": [1]}]}",
                   KJ_EINVAL, "model.json:2: identity \"a\": related must be a list of strings");
    assert_refused(
        "{\"identities\": [{\"name\": \"a\", \"category\": \"as\",\n\"related\": [\"b\"]}]}",
        KJ_EINVAL, "model.json:2: identity \"a\": related \"b\" is not an identity");
    assert_refused("{\"identities\": [{\"name\": \"a\", \"category\": \"as\",\n"
                   "\"related\": [\"a\",\n\"a\"]}]}",
                   KJ_EINVAL, "model.json:3: identity \"a\": related \"a\" is there twice");
}

static void parse_tells_line_and_column_of_a_syntax_error(void **state)
{
    (void)state;
    struct kj_error error;
    struct kj_model *model;
    assert_int_equal(parse("{\n\"version\": 1,\n}", &model, &error), KJ_EPARSE);
    assert_memory_equal(error.text, "model.json:3:1: ", 16);
    assert_int_equal(parse("{\"version\": 1,\n\"version\": 2}", &model, &error), KJ_EPARSE);
    assert_memory_equal(error.text, "model.json:2:9: duplicate", 25);
    assert_int_equal(parse("{}\n{}", &model, &error), KJ_EPARSE);
    assert_memory_equal(error.text, "model.json:2:1: ", 16);
    assert_int_equal(kj_model_parse("", 0, "model.json", &model, &error), KJ_EPARSE);
    assert_int_equal(kj_model_parse("{\"", 2, "model.json", &model, &error), KJ_EPARSE);
    assert_int_equal(kj_model_parse("{\"\\", 3, "model.json", &model, &error), KJ_EPARSE);
}

static void parse_refuses_deep_nesting_before_it_recurses(void **state)
{
    (void)state;
    size_t len = 1 << 20;
    char *text = malloc(len);
    memset(text, '[', len);
    text[10] = '\n';
    struct kj_error error;
    struct kj_model *model;
    assert_int_equal(kj_model_parse(text, len, "model.json", &model, &error), KJ_EPARSE);
    assert_string_equal(error.text, "model.json:2:55: nested deeper than 64");
    free(text);
}

static void load_names_the_file_it_cannot_read(void **state)
{
    (void)state;
    struct kj_error error;
    struct kj_model *model = (void *)1;
    assert_int_equal(kj_model_load("/nonexistent/model.json", &model, &error), KJ_EIO);
    assert_string_equal(error.text, "/nonexistent/model.json: No such file or directory");
    assert_null(model);
    assert_int_equal(kj_model_load("/", &model, &error), KJ_EIO);
    assert_string_equal(error.text, "/: Is a directory");
    assert_int_equal(kj_model_load("/dev/zero", &model, &error), KJ_ELIMIT);
    assert_int_equal(kj_model_load("/dev/null", &model, &error), KJ_EPARSE);
}

static void load_names_file_and_line(void **state)
{
    (void)state;
    char path[] = "/tmp/kujata-model-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "{\"identities\": [\n{\"name\": \"root\"}]}";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    struct kj_error error;
    struct kj_model *model;
    enum kj_status status = kj_model_load(path, &model, &error);
    unlink(path);
    assert_int_equal(status, KJ_EINVAL);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "%s:2: identities[0]: the name \"root\" is reserved", path);
    assert_string_equal(error.text, wanted);
}

static unsigned allowed_operations(const struct kj_model *model, const char *parent,
                                   const char *child)
{
    unsigned operations = 0;
    for (unsigned bit = 1; bit < KJ_OP_ALL; bit <<= 1) {
        if (kj__model_allows(model, parent ? kj_model_identity(model, parent) : NULL,
                             kj_model_identity(model, child), (enum kj_operation)bit)) {
            operations |= bit;
        }
    }
    return operations;
}

static void todo_model_is_elementals_test_model(void **state)
{
    (void)state;
    struct kj_error error = {.text = ""};
    struct kj_model *model;
    assert_int_equal(kj_model_load(TODO_MODEL, &model, &error), KJ_OK);
    assert_string_equal(error.text, "");

    assert_int_equal(allowed_operations(model, NULL, "list"), KJ_OP_ALL);
    assert_int_equal(allowed_operations(model, NULL, "user"), KJ_OP_ALL);
    assert_int_equal(allowed_operations(model, NULL, "task"),
                     KJ_OP_RETRIEVE | KJ_OP_UPDATE | KJ_OP_PATCH | KJ_OP_DELETE);
    assert_int_equal(allowed_operations(model, "list", "task"),
                     KJ_OP_CREATE | KJ_OP_RETRIEVE_MANY | KJ_OP_INFO);
    assert_int_equal(allowed_operations(model, "list", "user"), KJ_OP_RETRIEVE_MANY | KJ_OP_INFO);
    assert_int_equal(allowed_operations(model, "task", "user"), 0);

    json_t *list = json_object(), *task = json_object(), *user = json_object();
    kj__identity_conform(kj__model_by_category(model, 1, "lists"), list, true, NULL);
    kj__identity_conform(kj__model_by_category(model, 1, "tasks"), task, true, NULL);
    kj__identity_conform(kj__model_by_category(model, 1, "users"), user, true, NULL);
    assert_json_take(list, "{\"ID\":\"\",\"creationOnly\":\"\",\"date\":null,\"description\":\"\","
                           "\"name\":\"\",\"parentID\":\"\",\"parentType\":\"\","
                           "\"readOnly\":\"\",\"secret\":\"\",\"slice\":[]}");
    assert_json_take(task, "{\"ID\":\"\",\"description\":\"\",\"name\":\"\",\"parentID\":\"\","
                           "\"parentType\":\"\",\"status\":\"TODO\"}");
    assert_json_take(user, "{\"ID\":\"\",\"archived\":false,\"firstName\":\"\","
                           "\"lastName\":\"\",\"parentID\":\"\",\"parentType\":\"\","
                           "\"userName\":\"\"}");
    kj_model_free(model);
}

static void parse_reads_every_member(void **state)
{
    (void)state;
    struct kj_error error = {.text = ""};
    struct kj_model *model;
    static const char text[] =
        "{\"version\": 4, \"description\": \"d\", \"identities\": [{\"name\": \"a\","
        " \"category\": \"as\", \"version\": 7, \"description\": \"d\", \"attributes\": ["
        "{\"name\": \"s\", \"description\": \"d\", \"pattern\": \"^[a-z]*$\", \"min_length\": 2,"
        " \"max_length\": 5, \"allowed\": [\"abc\", \"de\"], \"default\": \"abc\","
        " \"required\": true, \"creation_only\": true, \"secret\": true},"
        "{\"name\": \"i\", \"type\": \"integer\", \"minimum\": 1, \"maximum\": 3, \"default\": 2,"
        " \"read_only\": true},"
        "{\"name\": \"f\", \"type\": \"float\", \"minimum\": -1.5, \"default\": 1},"
        "{\"name\": \"b\", \"type\": \"boolean\", \"default\": true},"
        "{\"name\": \"t\", \"type\": \"time\", \"default\": \"2021-03-04T05:06:07.50Z\"},"
        "{\"name\": \"l\", \"type\": \"list\", \"items\": \"integer\", \"default\": [1, 2]},"
        "{\"name\": \"o\", \"type\": \"object\", \"default\": {\"k\": [null, {}]}}]}],"
        "\"relations\": [{\"child\": \"a\", \"description\": \"d\", \"operations\": [\"all\"]}]}";
    assert_int_equal(parse(text, &model, &error), KJ_OK);
    assert_string_equal(error.text, "");
    const struct kj_identity *identity = kj_model_identity(model, "a");
    assert_int_equal(kj_identity_version(identity), 7);
    assert_int_equal(allowed_operations(model, NULL, "a"), KJ_OP_ALL);
    json_t *object = json_object();
    assert_int_equal(kj__identity_conform(identity, object, true, NULL), KJ_OK);
    assert_json_take(object, "{\"ID\":\"\",\"parentID\":\"\",\"parentType\":\"\",\"s\":\"abc\","
                             "\"i\":2,\"f\":1.0,\"b\":true,\"t\":\"2021-03-04T05:06:07.5Z\","
                             "\"l\":[1,2],\"o\":{\"k\":[null,{}]}}");
    kj_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_names_line_identity_and_attribute),
        cmocka_unit_test(locator_is_not_misled_by_brackets_in_strings),
        cmocka_unit_test(parse_refuses_unknown_members_everywhere),
        cmocka_unit_test(parse_refuses_members_of_the_wrong_shape),
        cmocka_unit_test(parse_refuses_bad_identities_and_relations),
        cmocka_unit_test(parse_relates_identities_whatever_their_order),
        cmocka_unit_test(parse_tells_line_and_column_of_a_syntax_error),
        cmocka_unit_test(parse_refuses_deep_nesting_before_it_recurses),
        cmocka_unit_test(load_names_the_file_it_cannot_read),
        cmocka_unit_test(load_names_file_and_line),
        cmocka_unit_test(todo_model_is_elementals_test_model),
        cmocka_unit_test(parse_reads_every_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
