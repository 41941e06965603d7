/* utf8_test.c - the automaton against a naive twin that decodes code points. */
#include "base/utf8.h"
#include "check.h"

/* The length of the character at `bytes`, worked out from its code point; 0 when invalid. */
static size_t naive_character(const uint8_t *bytes, size_t len)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0) {
        return 0;
    }
    if (bytes[0] < 0x80) {
        return 1;
    }
    size_t size = 0;
    for (uint8_t bits = bytes[0]; bits & 0x80; bits = (uint8_t)(bits << 1)) {
        size++;
    }
    if (size < 2 || size > 4 || size > len) {
        return 0;
    }
    uint32_t point = bytes[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < smallest[size] || point > 0x10ffff || is_surrogate ? 0 : size;
}

static bool naive_is_valid(const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t size = naive_character(bytes + at, len - at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

/* Bytes of which many are valid: pieces of characters, sometimes damaged. */
static size_t random_text(uint8_t *bytes, size_t max)
{
    static const char *const pieces[] = {
        "a",
        "abcdefghijklmnop",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\xe0\xa0\x80",
        "\xc2\x80",
    };
    size_t len = 0;
    for (int i = rand() % 8; i > 0; i--) {
        const char *piece = pieces[(size_t)rand() % LENGTH(pieces)];
        size_t size = strlen(piece);
        if (len + size <= max) {
            memcpy(bytes + len, piece, size);
            len += size;
        }
    }
    if (len > 0 && rand() % 2) {
        bytes[(size_t)rand() % len] = (uint8_t)rand();
    }
    return len > 0 && rand() % 4 == 0 ? len - 1 : len;
}

static void utf8_agrees_with_a_naive_twin(void **state)
{
    (void)state;
    srand(4);
    int valid = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[160];
        size_t len = random_text(bytes, sizeof bytes);
        bool wanted = naive_is_valid(bytes, len);
        valid += wanted;

        assert_int_equal(kj__utf8_is_valid(bytes, len), wanted);
        assert_int_equal(kj__utf8_character(bytes, len), naive_character(bytes, len));

        size_t cut = len ? (size_t)rand() % (len + 1) : 0;
        struct kj__utf8 utf8 = {0};
        bool in_pieces = kj__utf8_feed(&utf8, bytes, cut) &&
                         kj__utf8_feed(&utf8, bytes + cut, len - cut) &&
                         kj__utf8_is_complete(&utf8);
        assert_int_equal(in_pieces, wanted);
    }
    assert_in_range(valid, 20000, 180000);
}

static void utf8_decides_sequences_of_edge_bytes(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                    0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                    0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    for (size_t i = 0; i < LENGTH(edges) * LENGTH(edges) * LENGTH(edges) * LENGTH(edges); i++) {
        size_t n = LENGTH(edges);
        const uint8_t bytes[4] = {edges[i % n], edges[i / n % n], edges[i / n / n % n],
                                  edges[i / n / n / n]};
        assert_int_equal(kj__utf8_is_valid(bytes, 4), naive_is_valid(bytes, 4));
        assert_int_equal(kj__utf8_is_valid(bytes, 3), naive_is_valid(bytes, 3));
    }
}

static void utf8_counts_characters(void **state)
{
    (void)state;
    assert_int_equal(kj__utf8_count("", 0), 0);
    assert_int_equal(kj__utf8_count("a\xc3\xa9\xf0\x9f\x98\x80", 7), 3);
}

/* Only what began and did not end is cut off; what is no beginning stays for others to judge. */
static void utf8_is_cut_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t len = 0; len < LENGTH(whole); len++) {
        assert_int_equal(kj__utf8_whole(text, len), whole[len]);
    }
    assert_int_equal(kj__utf8_whole("a\xff", 2), 2);
    assert_int_equal(kj__utf8_whole("\x80\x80\x80\x80\x80", 5), 5);
    assert_int_equal(kj__utf8_whole("\xf0\x9f\x98\x80\x80", 5), 5);
    assert_int_equal(kj__utf8_whole("\xed\xa0", 2), 2);
    srand(5);
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[160];
        size_t len = random_text(bytes, sizeof bytes);
        if (naive_is_valid(bytes, len)) {
            size_t cut = (size_t)rand() % (len + 1);
            size_t kept = kj__utf8_whole((const char *)bytes, cut);
            assert_true(kept <= cut && cut - kept < 4);
            assert_true(naive_is_valid(bytes, kept));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_agrees_with_a_naive_twin),
        cmocka_unit_test(utf8_decides_sequences_of_edge_bytes),
        cmocka_unit_test(utf8_counts_characters),
        cmocka_unit_test(utf8_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
