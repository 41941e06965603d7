/* query.c - query strings, against parameters of every type. */
#include "fuzz.h"

#include "model/identity.h"
#include "rest/query.h"

#include <string.h>

static const char model_text[] =
    "{\"identities\":[{\"name\":\"a\",\"category\":\"as\"}],\"relations\":[{\"child\":\"a\","
    "\"operations\":[\"all\"],\"parameters\":[{\"name\":\"s\",\"multiple\":true},"
    "{\"name\":\"i\",\"type\":\"integer\",\"default\":1},{\"name\":\"f\",\"type\":\"float\"},"
    "{\"name\":\"b\",\"type\":\"boolean\"},{\"name\":\"e\",\"type\":\"enum\",\"allowed\":[\"x\"]},"
    "{\"name\":\"d\",\"type\":\"duration\"},{\"name\":\"t\",\"type\":\"time\"}],"
    "\"requirements\":[{\"any_of\":[\"s i\",\"t\"]}]}]}";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct kj_model *model;
    if (!model) {
        FUZZ_REQUIRE(kj_model_parse(model_text, strlen(model_text), "", &model, NULL) == KJ_OK);
    }
    const struct kj_identity *identity = kj_model_identity(model, "a");
    struct kj__query_rules rules = {.operation = KJ_OP_RETRIEVE_MANY,
                                    .declared = kj__model_parameters(model, NULL, identity),
                                    .largest_page = 100,
                                    .strict_flags = len % 2};
    struct kj__query query;
    json_t *errors = json_array();
    char *text = strndup((const char *)bytes, len);
    FUZZ_REQUIRE(errors && text);
    kj__query_init(&query);
    enum kj_status status = kj__query_parse(&query, text, &rules, errors, "t");
    FUZZ_REQUIRE(status == KJ_OK || status == KJ_EREFUSED);
    FUZZ_REQUIRE((status == KJ_OK) == (json_array_size(errors) == 0));
    FUZZ_REQUIRE(status || (query.limit <= 100 && query.page_size <= 100));
    kj__query_fini(&query);
    free(text);
    json_decref(errors);
    return 0;
}
