/* fixture.c - see fixture.h. */
#include "unit/rest/fixture.h"

#include "unit/rest/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const states[] = {"DONE", "PROGRESS", "TODO", NULL};

static const struct kj_attribute_spec list_attributes[] = {
    {.name = "creationOnly", .creation_only = true},
    {.name = "date", .type = KJ_TYPE_TIME},
    {.name = "description"},
    {.name = "name", .required = true},
    {.name = "readOnly", .read_only = true},
    {.name = "secret", .secret = true},
    {.name = "slice", .type = KJ_TYPE_LIST, .default_json = "[]"},
};

static const struct kj_attribute_spec task_attributes[] = {
    {.name = "description"},
    {.name = "name", .required = true},
    {.name = "status", .allowed = states, .default_json = "\"TODO\""},
};

static const struct kj_attribute_spec user_attributes[] = {
    {.name = "archived", .type = KJ_TYPE_BOOLEAN},
    {.name = "firstName", .required = true},
    {.name = "lastName", .required = true},
    {.name = "userName", .required = true},
};

static const struct kj_identity_spec identities[] = {
    {.name = "list",
     .category = "lists",
     .attributes = list_attributes,
     .attribute_count = COUNT(list_attributes)},
    {.name = "task",
     .category = "tasks",
     .attributes = task_attributes,
     .attribute_count = COUNT(task_attributes)},
    {.name = "user",
     .category = "users",
     .attributes = user_attributes,
     .attribute_count = COUNT(user_attributes)},
};

static const char *const levels[] = {"low", "high", NULL};
static const char *const confirmation[] = {"confirm", NULL};

static const struct kj_parameter_spec list_parameters[] = {
    {.name = "rlgmp1", .operations = KJ_OP_RETRIEVE_MANY},
    {.name = "rlgmp2", .type = KJ_PARAMETER_BOOLEAN, .operations = KJ_OP_RETRIEVE_MANY},
    {.name = "depth",
     .type = KJ_PARAMETER_INTEGER,
     .default_text = "3",
     .operations = KJ_OP_RETRIEVE_MANY},
    {.name = "ratio", .type = KJ_PARAMETER_FLOAT, .operations = KJ_OP_RETRIEVE_MANY},
    {.name = "level",
     .type = KJ_PARAMETER_ENUM,
     .multiple = true,
     .allowed = levels,
     .operations = KJ_OP_RETRIEVE_MANY},
    {.name = "since", .type = KJ_PARAMETER_TIME, .operations = KJ_OP_RETRIEVE_MANY},
    {.name = "wait", .type = KJ_PARAMETER_DURATION, .operations = KJ_OP_RETRIEVE_MANY},
};

static const struct kj_parameter_spec user_parameters[] = {
    {.name = "confirm", .type = KJ_PARAMETER_BOOLEAN, .operations = KJ_OP_DELETE},
};

static const struct kj_requirement_spec user_requirements[] = {
    {.any_of = confirmation, .operations = KJ_OP_DELETE},
};

static const struct kj_relation_spec relations[] = {
    {.child = "list",
     .operations = KJ_OP_ALL,
     .parameters = list_parameters,
     .parameter_count = COUNT(list_parameters)},
    {.child = "user",
     .operations = KJ_OP_ALL,
     .parameters = user_parameters,
     .parameter_count = COUNT(user_parameters),
     .requirements = user_requirements,
     .requirement_count = COUNT(user_requirements)},
    {.child = "task", .operations = KJ_OP_RETRIEVE | KJ_OP_UPDATE | KJ_OP_PATCH | KJ_OP_DELETE},
    {.parent = "list",
     .child = "task",
     .operations = KJ_OP_CREATE | KJ_OP_RETRIEVE_MANY | KJ_OP_INFO},
    {.parent = "list", .child = "user", .operations = KJ_OP_RETRIEVE_MANY},
};

struct kj_model *fixture_model(void)
{
    struct kj_model_spec spec = {.identities = identities,
                                 .identity_count = COUNT(identities),
                                 .relations = relations,
                                 .relation_count = COUNT(relations)};
    struct kj_model *model;
    struct kj_error error = {.text = ""};
    if (kj_model_new(&spec, &model, &error)) {
        fail_msg("%s", error.text);
    }
    return model;
}

static void keep_event(struct kj_event *event, void *ctx)
{
    struct fixture *fixture = ctx;
    assert_true(fixture->event_count < FIXTURE_EVENTS_MAX);
    fixture->events[fixture->event_count++] = kj_event_ref(event);
}

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.model = fixture_model()};
    assert_int_equal(kj_store_memory_new(&fixture->store), KJ_OK);
    kj__api_init(&fixture->api, fixture->model, &fixture->counters);
    fixture->api.publish = keep_event;
    fixture->api.publish_ctx = fixture;
    kj__http_response_init(&fixture->response);
    kj__buffer_init(&fixture->body);
}

void fixture_fini(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->event_count; i++) {
        kj_event_unref(fixture->events[i]);
    }
    free(fixture->headers);
    kj__buffer_fini(&fixture->body);
    kj__http_response_fini(&fixture->response);
    kj__api_fini(&fixture->api);
    kj_store_free(fixture->store);
    kj_model_free(fixture->model);
}

void fixture_serve_with(struct fixture *fixture, kj_process function, void *ctx)
{
    struct kj_processor processor = {.retrieve_many = function,
                                     .retrieve = function,
                                     .create = function,
                                     .update = function,
                                     .patch = function,
                                     .remove = function,
                                     .info = function,
                                     .ctx = ctx};
    assert_int_equal(kj__api_register(&fixture->api, "list", &processor), KJ_OK);
}

void fixture_create_list(struct fixture *fixture)
{
    fixture_send(fixture, "POST", "/v/1/lists", "{\"name\":\"a\",\"secret\":\"s\"}");
}

void fixture_serve_store(struct fixture *fixture)
{
    struct kj_processor processor = kj_store_processor(fixture->store);
    assert_int_equal(kj__api_register(&fixture->api, NULL, &processor), KJ_OK);
}

static void read_headers(struct kj__fields *fields, const char *text)
{
    while (*text) {
        const char *colon = strchr(text, ':');
        const char *end = strchr(text, '\n');
        assert_true(colon && end && colon < end);
        assert_true(kj__fields_add_len(fields, text, (size_t)(colon - text), colon + 2,
                                       (size_t)(end - colon - 2)));
        text = end + 1;
    }
}

static void keep_response(struct fixture *fixture)
{
    struct kj__buffer text;
    kj__buffer_init(&text);
    size_t cursor = 0;
    const char *name;
    const char *value;
    while (kj__fields_next(&fixture->response.headers, &cursor, &name, &value)) {
        kj__buffer_printf(&text, "%s: %s\n", name, value);
    }
    kj__buffer_append_byte(&text, 0);
    free(fixture->headers);
    fixture->headers = (char *)kj__buffer_take(&text, &(size_t){0});
    fixture->body.len = 0;
    kj__buffer_append(&fixture->body, fixture->response.body.data, fixture->response.body.len);
    kj__buffer_append_byte(&fixture->body, 0);
    assert_false(fixture->body.failed);
    fixture->body.len--;
}

void fixture_send_bytes(struct fixture *fixture, const char *method, const char *target,
                        const char *headers, const void *body, size_t len)
{
    struct kj__fields fields;
    kj__fields_init(&fields, true);
    read_headers(&fields, headers);
    size_t path_len = strcspn(target, "?");
    char *path = strndup(target, path_len);
    struct kj__http_request request = {
        .method = method,
        .path = path,
        .query = target[path_len] ? target + path_len + 1 : "",
        .headers = &fields,
        .body = body,
        .body_len = len,
        .remote_address = "127.0.0.1",
    };
    kj__http_response_fini(&fixture->response);
    kj__http_response_init(&fixture->response);
    kj__api_handle(&fixture->api, &request, &fixture->response);
    keep_response(fixture);
    free(path);
    kj__fields_fini(&fields);
}

void fixture_send(struct fixture *fixture, const char *method, const char *target, const char *json)
{
    fixture_send_bytes(fixture, method, target, "", json, strlen(json));
}

const char *fixture_text(const struct fixture *fixture)
{
    return (const char *)fixture->body.data;
}

const char *fixture_header(const struct fixture *fixture, const char *name)
{
    return kj__fields_get(&fixture->response.headers, name);
}

json_t *fixture_json(const struct fixture *fixture)
{
    json_t *value = json_loads(fixture_text(fixture), JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

const char *fixture_error(const struct fixture *fixture, const char *member)
{
    static char text[1024];
    json_t *errors = fixture_json(fixture);
    const char *value = json_string_value(json_object_get(json_array_get(errors, 0), member));
    assert_non_null(value);
    (void)snprintf(text, sizeof text, "%s", value);
    json_decref(errors);
    return text;
}

void fixture_create(struct fixture *fixture, const char *target, const char *json,
                    char id[KJ_OBJECT_ID_SIZE])
{
    fixture_send(fixture, "POST", target, json);
    assert_int_equal(fixture->response.status, 200);
    json_t *object = fixture_json(fixture);
    (void)snprintf(id, KJ_OBJECT_ID_SIZE, "%s", json_string_value(json_object_get(object, "ID")));
    json_decref(object);
}
