/* memory_test.c - documents under an allocator that fails at each call in turn. */
#include "unit/spec/model.h"

#include "support/failing_allocator.h"

#include <stdlib.h>

/* A little of everything: the time this takes grows with the square of a document. */
static const char model_text[] =
    "{\"identities\": [{\"name\": \"box\", \"category\": \"boxes\", \"attributes\": ["
    "{\"name\": \"name\", \"type\": \"string\", \"required\": true, \"max_length\": 9},"
    "{\"name\": \"code\", \"type\": \"string\", \"pattern\": \"^a\", \"secret\": true,"
    " \"creation_only\": true},"
    "{\"name\": \"size\", \"type\": \"integer\", \"minimum\": 1, \"default\": 3},"
    "{\"name\": \"tags\", \"type\": \"list\", \"max_length\": 3},"
    "{\"name\": \"state\", \"type\": \"string\", \"allowed\": [\"open\"]}]},"
    "{\"name\": \"box\", \"category\": \"boxes\", \"version\": 2}],"
    "\"relations\": [{\"child\": \"box\", \"operations\": [\"patch\", \"info\"],"
    "\"parameters\": [{\"name\": \"kind\", \"type\": \"enum\", \"allowed\": [\"low\"],"
    "\"default\": \"low\", \"multiple\": true}, {\"name\": \"since\", \"type\": \"time\"}],"
    "\"requirements\": [{\"any_of\": [\"since\"]}]}]}";

/* For jansson; one of our own calls, which fail in turn. */
static void *allocate(size_t size)
{
    return malloc(size);
}

typedef enum kj_status make(const struct kj_model *model, const struct kj_spec_options *options,
                            json_t **document, struct kj_error *error);

static void assert_survives(make *make_document, const struct kj_model *model)
{
    enum kj_status status = KJ_ENOMEM;
    for (long calls = 0; status; calls++) {
        struct kj_error error = {{0}, 0};
        json_t *document = (void *)1;
        allocator_fail_after(calls, false);
        status = make_document(model, &full_options, &document, &error);
        bool has_failed = allocator_recover();
        assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
        assert_true((status == KJ_OK) == (document != NULL));
        assert_true((status == KJ_OK) == (error.text[0] == '\0'));
        json_decref(document);
    }
}

static void documents_survive_every_failing_allocation(void **state)
{
    (void)state;
    json_set_alloc_funcs(allocate, free);
    struct kj_model *model;
    struct kj_error error = {{0}, 0};
    if (kj_model_parse(model_text, strlen(model_text), "model", &model, &error)) {
        fail_msg("%s", error.text);
    }
    assert_survives(kj_spec_openapi, model);
    assert_survives(kj_spec_asyncapi, model);
    kj_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_survive_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
