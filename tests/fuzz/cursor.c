/* cursor.c - cursors of lists: the bytes are what the hexadecimal digits of one stand for.
 *
 * What is read must be the same when it is written and read again.
 */
#include "fuzz.h"

#include "handlers/store_cursor.h"

#include <kujata/context.h>
#include <string.h>

static const char *const order[] = {"name", "-due", NULL};

static char *digits_of(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * len + 2);
    FUZZ_REQUIRE(text != NULL);
    text[0] = KJ_CURSOR_MARK;
    for (size_t i = 0; i < len; i++) {
        text[2 * i + 1] = digits[bytes[i] >> 4];
        text[2 * i + 2] = digits[bytes[i] & 0xf];
    }
    text[2 * len + 1] = '\0';
    return text;
}

static void try_again(const struct kj__cursor *cursor)
{
    struct kj__cursor again;
    char *text = kj__cursor_write(cursor, order);
    FUZZ_REQUIRE(text != NULL);
    if (kj__cursor_is_marked(text) && strcmp(text, cursor->id) != 0) {
        FUZZ_REQUIRE(kj__cursor_read(&again, order, text) == KJ_OK);
        FUZZ_REQUIRE(strcmp(again.id, cursor->id) == 0);
        FUZZ_REQUIRE(json_array_size(again.keys) == 0 || json_equal(again.keys, cursor->keys));
        kj__cursor_fini(&again);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct kj__cursor cursor;
    char *text = digits_of(bytes, len);
    enum kj_status status = kj__cursor_read(&cursor, order, text);
    FUZZ_REQUIRE(status == KJ_OK || status == KJ_EPARSE);
    if (!status) {
        size_t count = json_array_size(cursor.keys);
        FUZZ_REQUIRE(count == 0 || count == 2);
        for (size_t i = 0; i < count; i++) {
            const json_t *value = json_array_get(cursor.keys, i);
            FUZZ_REQUIRE(!json_is_object(value) && json_array_size(value) == 0);
        }
        try_again(&cursor);
    }
    kj__cursor_fini(&cursor);
    free(text);
    return 0;
}
