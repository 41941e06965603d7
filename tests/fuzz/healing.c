/* healing.c - messages of healing, of a user's or by the first byte of the system's: what is read as
 * one is from and to users there can be, and goes out as JSON. */
#include "handlers/healing.h"
#include "fuzz.h"

#include <kujata/encoding.h>
#include <stdlib.h>
#include <string.h>

static void check(struct healing_letter *letter, bool is_system)
{
    uint8_t *text = NULL;
    size_t len;
    FUZZ_REQUIRE(healing_user_is_valid(letter->to));
    FUZZ_REQUIRE(is_system ? !*letter->from : healing_user_is_valid(letter->from));
    FUZZ_REQUIRE(kj_value_encode(KJ_ENCODING_JSON, letter->message, &text, &len) == KJ_OK);
    free(text);
    healing_letter_free(letter);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct healing_letter letter;
    json_t *message = NULL;
    if (len == 0 || kj_value_decode(KJ_ENCODING_JSON, bytes + 1, len - 1, &message, NULL)) {
        return 0;
    }
    bool is_system = bytes[0] & 1;
    enum kj_status status = is_system ? healing_letter_read_system(&letter, message)
                                      : healing_letter_read(&letter, message, NULL);
    FUZZ_REQUIRE(!status == (letter.message != NULL));
    if (!status) {
        check(&letter, is_system);
    }
    if (!is_system) {
        FUZZ_REQUIRE(healing_letter_read(&letter, message, "12") == KJ_OK ||
                     letter.message == NULL);
        FUZZ_REQUIRE(!letter.message || strcmp(letter.from, "12") == 0);
        healing_letter_free(&letter);
    }
    json_decref(message);
    return 0;
}
