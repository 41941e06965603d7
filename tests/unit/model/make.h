/* make.h - models and objects for the tests of core/model. */
#ifndef TESTS_UNIT_MODEL_MAKE_H
#define TESTS_UNIT_MODEL_MAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <kujata/model.h>
#include <string.h>

/* A model of one identity, "thing" of the category "things". */
static inline enum kj_status make_thing(const struct kj_attribute_spec *attributes, size_t count,
                                        struct kj_model **model, struct kj_error *error)
{
    struct kj_identity_spec identity = {
        .name = "thing",
        .category = "things",
        .attributes = attributes,
        .attribute_count = count,
    };
    struct kj_model_spec spec = {.identities = &identity, .identity_count = 1};
    return kj_model_new(&spec, model, error);
}

/* Compares an object with a JSON text, key order apart, and releases it. */
static inline void assert_json_take(json_t *value, const char *text)
{
    char *found = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    json_t *wanted_value = json_loads(text, JSON_DECODE_ANY, NULL);
    char *wanted = json_dumps(wanted_value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(found, wanted);
    free(found);
    free(wanted);
    json_decref(wanted_value);
    json_decref(value);
}

#endif
