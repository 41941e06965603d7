/* document_test.c - what the documents of a model say. */
#include "unit/spec/model.h"

#include <stdio.h>
#include <stdlib.h>

static struct kj_model *model;

static int load(void **state)
{
    (void)state;
    model = make_model();
    return 0;
}

static int unload(void **state)
{
    (void)state;
    kj_model_free(model);
    return 0;
}

typedef enum kj_status make(const struct kj_model *model, const struct kj_spec_options *options,
                            json_t **document, struct kj_error *error);

static json_t *make_document(make *document_of, const struct kj_spec_options *options)
{
    json_t *document;
    struct kj_error error = {{0}, 0};
    if (document_of(model, options, &document, &error)) {
        fail_msg("%s", error.text);
    }
    return document;
}

/* The value at a path of keys and indexes joined by blanks, or NULL. */
static const json_t *find(const json_t *value, const char *path)
{
    char keys[512];
    char *rest = keys;
    (void)snprintf(keys, sizeof keys, "%s", path);
    for (char *key = strtok_r(rest, " ", &rest); key && value; key = strtok_r(rest, " ", &rest)) {
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10))
                                     : json_object_get(value, key);
    }
    return value;
}

static void assert_at(const json_t *document, const char *path, const char *text)
{
    const json_t *found = find(document, path);
    char *shown = found ? json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (!shown || strcmp(shown, text) != 0) {
        fail_msg("%s: %s in place of %s", path, shown ? shown : "nothing", text);
    }
    free(shown);
}

static void assert_none(const json_t *document, const char *path)
{
    if (find(document, path)) {
        fail_msg("%s is there", path);
    }
}

static void assert_keys(const json_t *document, const char *path, const char *wanted)
{
    char found[1024] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)find(document, path), key, value)
    {
        size_t len = strlen(found);
        (void)snprintf(found + len, sizeof found - len, "%s%s", len ? " " : "", key);
    }
    assert_string_equal(found, wanted);
}

static void every_route_of_every_version_is_listed(void **state)
{
    (void)state;
    json_t *document = make_document(kj_spec_openapi, NULL);
    assert_keys(document, "paths",
                "/v/1/boxes /v/1/boxes/{ID} /v/1/boxes/{parentID}/things /v/1/things/{ID} "
                "/v/2/boxes /v/2/boxes/{ID} /v/2/boxes/{parentID}/things");
    assert_keys(document, "paths /v/1/boxes", "get post head");
    assert_keys(document, "paths /v/1/boxes/{ID}", "parameters get head put patch delete");
    assert_keys(document, "paths /v/1/things/{ID}", "parameters get head delete");
    assert_at(document, "paths /v/1/boxes/{parentID}/things post operationId",
              "\"v1.box.thing.create\"");
    assert_at(document, "paths /v/2/boxes get responses 200 content application/json schema",
              "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/box.v2\"}}");
    assert_at(document,
              "paths /v/2/boxes/{parentID}/things post responses 200 content application/json",
              "{\"schema\":{\"$ref\":\"#/components/schemas/thing.v1\"}}");
    json_decref(document);
}

static void attributes_have_types_and_rules(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"name", "{\"type\":\"string\",\"minLength\":1,\"maxLength\":20}"},
        {"word", "{\"type\":\"string\",\"anyOf\":[{\"maxLength\":0},"
                 "{\"x-posix-pattern\":\"^[[:alpha:]]+$\"}]}"},
        {"opened", "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"},
        {"opens", "{\"type\":\"string\",\"format\":\"date-time\"}"},
        {"size", "{\"type\":\"integer\",\"format\":\"int64\",\"anyOf\":[{\"const\":0},"
                 "{\"minimum\":1,\"maximum\":9}]}"},
        {"count", "{\"type\":\"integer\",\"format\":\"int64\",\"not\":{\"const\":0}}"},
        {"level", "{\"type\":\"integer\",\"format\":\"int64\",\"default\":3,\"minimum\":1}"},
        {"weight", "{\"type\":\"number\",\"format\":\"double\",\"description\":\"In kilograms.\","
                   "\"anyOf\":[{\"const\":0},"
                   "{\"minimum\":0.5}]}"},
        {"agreed", "{\"type\":\"boolean\",\"const\":true}"},
        {"tags", "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\"},\"anyOf\":["
                 "{\"maxItems\":0},{\"minItems\":1,\"maxItems\":3}]}"},
        {"parts", "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1}"},
        {"about", "{\"type\":[\"object\",\"null\"]}"},
        {"seal", "{\"type\":\"object\",\"minProperties\":1}"},
        {"state", "{\"type\":\"string\",\"enum\":[\"open\",\"shut\",\"\"]}"},
        {"colour", "{\"type\":\"string\",\"default\":\"red\",\"enum\":[\"blue\",\"red\"]}"},
        {"data", "{\"type\":\"string\",\"contentEncoding\":\"base64\",\"anyOf\":["
                 "{\"maxLength\":0},{\"minLength\":4,\"maxLength\":8}]}"},
        {"key", "{\"type\":\"string\",\"writeOnly\":true,\"description\":\"Opens it.\\n\\nBlank in "
                "answers "
                "and events.\",\"minLength\":4}"},
    };
    json_t *document = make_document(kj_spec_openapi, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[100];
        (void)snprintf(path, sizeof path, "components schemas box.v1.create properties %s",
                       rows[i][0]);
        assert_at(document, path, rows[i][1]);
    }
    json_decref(document);
}

static void each_form_has_what_may_be_sent(void **state)
{
    (void)state;
    json_t *document = make_document(kj_spec_openapi, NULL);
    assert_at(document, "components schemas box.v1 properties key",
              "{\"type\":\"string\",\"writeOnly\":true,\"description\":\"Opens it.\\n\\nBlank in "
              "answers and "
              "events.\"}");
    assert_at(document, "components schemas box.v1 properties ID",
              "{\"type\":\"string\",\"readOnly\":true}");
    assert_none(document, "components schemas box.v1 required");
    assert_at(document, "components schemas box.v1.create required",
              "[\"agreed\",\"count\",\"key\",\"name\",\"opens\",\"parts\",\"seal\"]");
    assert_none(document, "components schemas box.v1.create properties made");
    assert_at(document, "components schemas box.v1.create properties code anyOf 1",
              "{\"pattern\":\"^[A-Z]{2,5}$\"}");
    assert_none(document, "components schemas box.v1.update properties code");
    assert_none(document, "components schemas box.v1.patch required");
    assert_none(document, "components schemas box.v1.patch properties level default");
    assert_none(document, "components schemas box.v2.create required");
    assert_at(document, "components schemas box.v2.create properties label default", "\"none\"");
    assert_none(document, "components schemas thing.v1.update");
    assert_none(document, "components schemas lone.v1");
    json_decref(document);
}

static void declared_parameters_are_described(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"name\":\"depth\",\"in\":\"query\",\"schema\":{\"type\":\"integer\",\"format\":"
        "\"int64\",\"default\":3}}",
        "{\"name\":\"ratio\",\"in\":\"query\",\"description\":\"Between "
        "two.\",\"schema\":{\"type\":\"number\",\"format\":"
        "\"double\",\"default\":0.5}}",
    };
    json_t *document = make_document(kj_spec_openapi, NULL);
    enum { BEFORE_DECLARED = 11 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[100];
        (void)snprintf(path, sizeof path, "paths /v/1/boxes get parameters %zu",
                       BEFORE_DECLARED + i);
        assert_at(document, path, rows[i]);
    }
    assert_at(document, "paths /v/1/boxes get parameters 13 schema default", "true");
    assert_at(document, "paths /v/1/boxes get parameters 15 schema default", "\"1h\"");
    assert_at(document, "paths /v/1/boxes get parameters 16 schema",
              "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"low\",\"high\"]},"
              "\"default\":[\"low\"]}");
    const char *deletion = "paths /v/1/boxes/{ID} delete parameters 5";
    assert_at(document, deletion,
              "{\"name\":\"confirm\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":"
              "\"boolean\",\"description\":\"Also yes and 1, no and 0, in any case.\"}}");
    assert_none(document, "paths /v/1/boxes/{ID} delete parameters 6 required");
    assert_at(document, "paths /v/1/boxes/{ID} delete description",
              "\"Needs the parameters `(confirm and reason) or (confirm and ticket)`.\"");
    json_decref(document);
}

static void answers_are_those_the_server_can_give(void **state)
{
    (void)state;
    json_t *document = make_document(kj_spec_openapi, NULL);
    assert_keys(document, "paths /v/1/boxes get responses",
                "200 204 400 404 415 429 500 501 503 default");
    assert_keys(document, "paths /v/1/boxes post responses",
                "200 204 400 404 409 413 415 422 423 429 500 501 503 507 default");
    assert_none(document, "paths /v/1/boxes head responses 400 content");
    assert_at(document, "components responses TooMany headers Retry-After",
              "{\"$ref\":\"#/components/headers/Retry-After\"}");
    json_decref(document);

    document = make_document(kj_spec_openapi, &full_options);
    assert_keys(document, "paths /v/1/boxes get responses",
                "200 204 400 401 403 404 415 429 500 501 503 default");
    json_decref(document);

    const struct kj_spec_options no_keys = {.ignore_idempotency_keys = true};
    document = make_document(kj_spec_openapi, &no_keys);
    assert_none(document, "paths /v/1/boxes post responses 409");
    assert_none(document, "components parameters Idempotency-Key");
    json_decref(document);
}

static void options_show_in_the_rest_document(void **state)
{
    (void)state;
    json_t *document = make_document(kj_spec_openapi, &full_options);
    assert_at(document, "info title", "\"Things\"");
    assert_at(document, "info version", "\"2.3\"");
    assert_at(document, "servers", "[{\"url\":\"https://api.example.org:8443/here/api\"}]");
    assert_at(document, "security", "[{\"bearer\":[]},{\"cookie\":[]},{\"query\":[]}]");
    assert_keys(document, "components securitySchemes", "bearer cookie query");
    assert_at(document, "paths /v/1/boxes get security",
              "[{},{\"bearer\":[]},{\"cookie\":[]},{\"query\":[]}]");
    assert_none(document, "paths /v/1/boxes post security");
    assert_at(document, "components parameters pagesize schema maximum", "50");
    assert_at(document, "components parameters recursive schema", "{\"type\":\"boolean\"}");
    json_decref(document);

    document = make_document(kj_spec_openapi, NULL);
    assert_at(document, "info version", "\"1\"");
    assert_at(document, "servers", "[{\"url\":\"/\"}]");
    assert_at(document, "security", "[]");
    assert_none(document, "components securitySchemes");
    json_decref(document);
}

static void the_words_of_the_model_are_in_both_documents(void **state)
{
    (void)state;
    json_t *rest = make_document(kj_spec_openapi, NULL);
    json_t *push = make_document(kj_spec_asyncapi, NULL);
    assert_at(rest, "tags 1", "{\"name\":\"thing\",\"description\":\"What is in a box.\"}");
    for (int i = 0; i < 2; i++) {
        const json_t *document = i == 0 ? rest : push;
        assert_at(document, "components schemas thing.v1 description",
                  "\"What is in a box.\\n\\nOf answers and events.\"");
        assert_at(document, "components schemas thing.v1 properties n description",
                  "\"How many.\"");
    }
    json_decref(push);
    json_decref(rest);
}

static void push_document_has_channel_events_and_configs(void **state)
{
    (void)state;
    json_t *document = make_document(kj_spec_asyncapi, &full_options);
    assert_at(document, "channels events address", "\"/push\"");
    assert_at(document, "servers node host", "\"api.example.org:8443\"");
    assert_at(document, "servers node protocol", "\"wss\"");
    assert_at(document, "servers node pathname", "\"/here\"");
    assert_keys(document, "components securitySchemes", "bearer cookie query");
    assert_keys(document, "channels events messages",
                "event.json event.msgpack error.json error.msgpack position.json "
                "position.msgpack push-config.json push-config.msgpack");
    assert_at(document, "components schemas position.json properties type const", "\"position\"");
    assert_at(document, "components schemas event.json discriminator", "\"identity\"");
    assert_at(document, "components schemas event.json oneOf",
              "[{\"$ref\":\"#/components/schemas/box\"},{\"$ref\":\"#/components/schemas/thing\"},"
              "{\"$ref\":\"#/components/schemas/lone\"}]");
    assert_at(document, "components schemas box properties entity",
              "{\"anyOf\":[{\"$ref\":\"#/components/schemas/box.v1\"},"
              "{\"$ref\":\"#/components/schemas/box.v2\"}]}");
    assert_at(document, "components schemas thing properties entity",
              "{\"$ref\":\"#/components/schemas/thing.v1\"}");
    assert_keys(document, "channels events bindings ws query properties",
                "namespace token enableErrors resume since mode");
    json_decref(document);

    document = make_document(kj_spec_asyncapi, NULL);
    assert_at(document, "channels events address", "\"/events\"");
    assert_none(document, "servers");
    assert_none(document, "operations sendEvent security");
    json_decref(document);
}

static void equal_models_give_equal_documents(void **state)
{
    (void)state;
    make *const makers[] = {kj_spec_openapi, kj_spec_asyncapi};
    struct kj_model *first = model;
    for (size_t i = 0; i < 2; i++) {
        json_t *one = make_document(makers[i], &full_options);
        model = make_model();
        json_t *other = make_document(makers[i], &full_options);
        kj_model_free(model);
        model = first;
        char *text = json_dumps(one, JSON_COMPACT);
        char *same = json_dumps(other, JSON_COMPACT);
        assert_string_equal(text, same);
        free(text);
        free(same);
        json_decref(one);
        json_decref(other);
    }
}

static void bad_options_are_named(void **state)
{
    (void)state;
    static const struct {
        struct kj_spec_options options;
        const char *name;
    } rows[] = {
        {{.title = ""}, "title"},
        {{.title = "\xff"}, "title"},
        {{.version = "\xff"}, "version"},
        {{.server_url = "ftp://x"}, "server_url"},
        {{.server_url = "http://"}, "server_url"},
        {{.server_url = "https:///x"}, "server_url"},
        {{.server_url = "http://x?y"}, "server_url"},
        {{.server_url = "http://{x}"}, "server_url"},
        {{.api_prefix = "api"}, "api_prefix"},
        {{.push_endpoint = "events"}, "push_endpoint"},
        {{.token_cookie = ""}, "token_cookie"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kj_error error = {{0}, 0};
        json_t *document = (void *)1;
        assert_int_equal(kj_spec_openapi(model, &rows[i].options, &document, &error), KJ_EINVAL);
        assert_null(document);
        assert_non_null(strstr(error.text, rows[i].name));
        assert_int_equal(kj_spec_asyncapi(model, &rows[i].options, &document, NULL), KJ_EINVAL);
        assert_null(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_of_every_version_is_listed),
        cmocka_unit_test(attributes_have_types_and_rules),
        cmocka_unit_test(each_form_has_what_may_be_sent),
        cmocka_unit_test(declared_parameters_are_described),
        cmocka_unit_test(answers_are_those_the_server_can_give),
        cmocka_unit_test(options_show_in_the_rest_document),
        cmocka_unit_test(the_words_of_the_model_are_in_both_documents),
        cmocka_unit_test(push_document_has_channel_events_and_configs),
        cmocka_unit_test(equal_models_give_equal_documents),
        cmocka_unit_test(bad_options_are_named),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
