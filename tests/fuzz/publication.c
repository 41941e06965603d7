/* publication.c - envelopes: what is read is written so that it reads the same. */
#include "fuzz.h"

#include <kujata/publication.h>
#include <string.h>

static void check_tracking(const struct kj_publication *publication,
                           const struct kj_publication *again)
{
    json_t *tracking = NULL, *tracking_again = NULL;
    enum kj_status status = kj_publication_tracking_data(publication, &tracking);
    FUZZ_REQUIRE(kj_publication_tracking_data(again, &tracking_again) == status);
    FUZZ_REQUIRE((tracking != NULL) == (tracking_again != NULL));
    FUZZ_REQUIRE(!tracking || json_equal(tracking, tracking_again));
    json_decref(tracking_again);
    json_decref(tracking);
}

static void check_copy(const struct kj_publication *publication, const uint8_t *written, size_t len)
{
    struct kj_publication *copy;
    uint8_t *copied;
    size_t copied_len;
    FUZZ_REQUIRE(kj_publication_duplicate(publication, NULL, &copy) == KJ_OK);
    FUZZ_REQUIRE(kj_publication_encode(copy, &copied, &copied_len) == KJ_OK);
    FUZZ_REQUIRE(copied_len == len && memcmp(copied, written, len) == 0);
    free(copied);
    kj_publication_unref(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj_publication *publication, *again;
    if (kj_publication_decode(bytes, len, "events", &publication)) {
        return 0;
    }
    uint8_t *written;
    size_t written_len, data_len, data_again_len;
    FUZZ_REQUIRE(kj_publication_encode(publication, &written, &written_len) == KJ_OK);
    FUZZ_REQUIRE(kj_publication_decode(written, written_len, NULL, &again) == KJ_OK);
    const uint8_t *data = kj_publication_data(publication, &data_len);
    const uint8_t *data_again = kj_publication_data(again, &data_again_len);
    FUZZ_REQUIRE(data_len == data_again_len && memcmp(data, data_again, data_len) == 0);
    FUZZ_REQUIRE(strcmp(kj_publication_topic(publication), kj_publication_topic(again)) == 0);
    check_tracking(publication, again);
    check_copy(publication, written, written_len);
    free(written);
    kj_publication_unref(again);
    kj_publication_unref(publication);
    return 0;
}
