/* filter.c - filters: the first line is the text, what follows an entity it is tried on.
 *
 * The canonical text must mean the same as what it was made of, and an index must find whatever
 * matches.
 */
#include "fuzz.h"

#include "model/filter.h"

#include <string.h>

struct lookup {
    struct kj__filter_key key;
    bool found;
};

static void look_up(uint64_t hash, void *ctx)
{
    struct lookup *lookup = ctx;
    for (size_t i = 0; i < lookup->key.count; i++) {
        lookup->found = lookup->found || lookup->key.hashes[i] == hash;
    }
}

static void try_entity(const struct kj_filter *filter, const struct kj_filter *again,
                       const uint8_t *bytes, size_t len)
{
    struct kj__filter_round round = {.now_ns = INT64_C(1767225600) * 1000000000};
    json_t *entity = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL);
    bool matches = kj__filter_matches(filter, entity, &round);
    FUZZ_REQUIRE(kj__filter_matches(again, entity, &round) == matches);
    FUZZ_REQUIRE(!matches || (entity && round.cut == 0));
    struct lookup lookup = {.found = false};
    if (kj__filter_key(filter, &lookup.key)) {
        kj__filter_visit_keys(entity, lookup.key.member, look_up, &lookup);
        FUZZ_REQUIRE(!matches || lookup.found);
    }
    json_decref(entity);
}

static void try_filter(const struct kj_filter *filter, const uint8_t *bytes, size_t len)
{
    size_t text_len, again_len;
    const char *text = kj__filter_text(filter, &text_len);
    struct kj_filter *again;
    FUZZ_REQUIRE(strlen(text) == text_len);
    if (text_len > KJ__FILTER_TEXT_MAX) {
        return;
    }
    FUZZ_REQUIRE(kj__filter_parse(text, text_len, KJ__FILTER_FULL, &again, NULL) == KJ_OK);
    FUZZ_REQUIRE(strcmp(kj__filter_text(again, &again_len), text) == 0);
    FUZZ_REQUIRE(kj__filter_hash(again) == kj__filter_hash(filter));
    try_entity(filter, again, bytes, len);
    kj_filter_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const uint8_t *line = len ? memchr(bytes, '\n', len) : NULL;
    size_t text_len = line ? (size_t)(line - bytes) : len;
    struct kj_filter *filter;
    struct kj_error error = {{0}, 0};
    enum kj_status status = kj__filter_parse((const char *)bytes, text_len, KJ__FILTER_FULL,
                                             &filter, &error);
    FUZZ_REQUIRE((status == KJ_OK) == (filter != NULL));
    FUZZ_REQUIRE((status == KJ_OK) == (error.text[0] == '\0'));
    FUZZ_REQUIRE(error.position <= text_len);
    if (filter) {
        try_filter(filter, bytes + text_len, len - text_len);
        kj_filter_unref(filter);
    }
    error = (struct kj_error){{0}, 0};
    status = kj__filter_parse_push((const char *)bytes, text_len, &filter, &error);
    FUZZ_REQUIRE((status == KJ_OK) == (filter != NULL && error.text[0] == '\0'));
    kj_filter_unref(filter);
    return 0;
}
