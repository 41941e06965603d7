/* publication.c - envelopes: what is read is written so that it reads the same. */
#include "fuzz.h"

#include <kujata/publication.h>
#include <string.h>

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
    free(written);
    kj_publication_unref(again);
    kj_publication_unref(publication);
    return 0;
}
