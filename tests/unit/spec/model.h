/* model.h - a model with everything a document has to tell of. */
#ifndef TESTS_UNIT_SPEC_MODEL_H
#define TESTS_UNIT_SPEC_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <kujata/spec.h>
#include <string.h>

static inline struct kj_model *make_model(void)
{
    struct kj_model *model;
    struct kj_error error = {{0}, 0};
    if (kj_model_load(SPEC_MODEL, &model, &error)) {
        fail_msg("%s", error.text);
    }
    return model;
}

/* Every option that adds something. */
static const struct kj_spec_options full_options = {
    .title = "Things",
    .version = "2.3",
    .server_url = "https://api.example.org:8443/here/",
    .api_prefix = "/api",
    .push_endpoint = "/push",
    .page_objects = 50,
    .strict_flags = true,
    .token_cookie = "session",
    .token_in_query = true,
    .needs_token = true,
    .public_reads = true,
};

#endif
