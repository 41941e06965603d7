/* publication_test.c - the envelope on the backend, byte for byte. */
#include "bytes.h"
#include "codec/publication.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

#define EVENT                                                                                      \
    "85a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba6656e74697479c40e82a24944a131"   \
    "a46e616d65a26e31a86964656e74697479a46c697374a974696d657374616d70d7ff1d6f34545e70aabfa47479"   \
    "7065a6637265617465"
static const char plain_hex[] =
    "84a464617461c463" EVENT "a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba5746f7069"
    "63b9676c6f62616c2d6576656e74732e6c6973742e637265617465ac747261636b696e674461746180";
static const char full_hex[] =
    "87a464617461c463" EVENT "a8656e636f64696e67b36170706c69636174696f6e2f6d73677061636ba970617274"
    "6974696f6e03ac726573706f6e73654d6f646502a5746f706963b9676c6f62616c2d6576656e74732e6c6973742e"
    "637265617465ac747261636b696e674461746181a16ba176ac747261636b696e674e616d65a2746e";
static const char topic[] = "global-events.list.create";

static enum kj_status decode_hex(const char *hex, const char *subject,
                                 struct kj_publication **publication)
{
    size_t len;
    uint8_t *bytes = bytes_from_hex(hex, &len);
    enum kj_status status = kj_publication_decode(bytes, len, subject, publication);
    free(bytes);
    return status;
}

static void assert_encodes(const struct kj_publication *publication, const char *hex)
{
    uint8_t *bytes;
    size_t len;
    assert_int_equal(kj_publication_encode(publication, &bytes, &len), KJ_OK);
    assert_bytes_hex(bytes, len, hex);
    free(bytes);
}

static void publication_made_here_matches_the_vector(void **state)
{
    (void)state;
    size_t len;
    uint8_t *event = bytes_from_hex(EVENT, &len);
    struct kj_publication *publication;

    assert_int_equal(
        kj_publication_new(
            &(struct kj_publication_options){
                .topic = topic, .data = event, .len = len, .encoding = KJ_ENCODING_MSGPACK},
            &publication),
        KJ_OK);

    assert_encodes(publication, plain_hex);
    assert_int_equal(kj__publication_response_mode(publication), KJ_RESPONSE_NONE);
    kj_publication_unref(publication);
    free(event);
}

static void publication_carries_every_member(void **state)
{
    (void)state;
    struct kj_publication *publication;
    size_t len;

    assert_int_equal(decode_hex(full_hex, NULL, &publication), KJ_OK);

    assert_string_equal(kj_publication_topic(publication), topic);
    assert_int_equal(kj_publication_encoding(publication), KJ_ENCODING_MSGPACK);
    assert_int_equal(kj__publication_response_mode(publication), KJ_RESPONSE_PUBLICATION);
    const uint8_t *data = kj_publication_data(publication, &len);
    assert_bytes_hex(data, len, EVENT);
    assert_encodes(publication, full_hex);
    kj_publication_unref(publication);
}

static void publication_options_reach_the_wire(void **state)
{
    (void)state;
    json_t *tracking = json_pack("{s:s}", "k", "v");
    const struct kj_publication_options options = {.topic = "t",
                                                   .data = (const uint8_t *)"x",
                                                   .len = 1,
                                                   .encoding = KJ_ENCODING_JSON,
                                                   .tracking_name = "tn",
                                                   .tracking_data = tracking,
                                                   .partition = 3};
    struct kj_publication *publication;

    assert_int_equal(kj_publication_new(&options, &publication), KJ_OK);

    assert_encodes(
        publication,
        "86a464617461c40178a8656e636f64696e67b06170706c69636174696f6e2f6a736f6ea970617274"
        "6974696f6e03a5746f706963a174ac747261636b696e674461746181a16ba176ac747261636b696e"
        "674e616d65a2746e");
    kj_publication_unref(publication);
    json_decref(tracking);
}

static void publication_options_are_checked(void **state)
{
    (void)state;
    json_t *number = json_pack("{s:i}", "k", 1);
    const struct kj_publication_options rows[] = {
        {.topic = NULL},
        {.topic = ""},
        {.topic = "t", .tracking_data = number},
        {.topic = "t", .tracking_data = json_null()},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj_publication *publication;
        assert_int_equal(kj_publication_new(&rows[i], &publication), KJ_EINVAL);
        assert_null(publication);
    }
    json_decref(number);
}

static void publication_tracking_is_read_and_kept_by_copies(void **state)
{
    (void)state;
    struct kj_publication *publication, *copy;
    json_t *tracking;

    assert_int_equal(decode_hex(full_hex, NULL, &publication), KJ_OK);
    assert_int_equal(kj_publication_duplicate(publication, NULL, &copy), KJ_OK);
    kj_publication_unref(publication);

    assert_encodes(copy, full_hex);
    assert_string_equal(kj_publication_tracking_name(copy), "tn");
    assert_int_equal(kj_publication_partition(copy), 3);
    assert_false(kj_publication_wants_reply(copy));
    assert_int_equal(kj_publication_tracking_data(copy, &tracking), KJ_OK);
    assert_int_equal(json_object_size(tracking), 1);
    assert_string_equal(json_string_value(json_object_get(tracking, "k")), "v");
    json_decref(tracking);
    assert_int_equal(kj_publication_duplicate(copy, "else.where", &publication), KJ_OK);
    assert_string_equal(kj_publication_topic(publication), "else.where");
    kj_publication_unref(publication);
    assert_int_equal(kj_publication_duplicate(copy, "", &publication), KJ_EINVAL);
    assert_null(publication);
    kj_publication_unref(copy);

    assert_int_equal(decode_hex(plain_hex, NULL, &publication), KJ_OK);
    assert_null(kj_publication_tracking_name(publication));
    assert_int_equal(kj_publication_tracking_data(publication, &tracking), KJ_OK);
    assert_null(tracking);
    kj_publication_unref(publication);
}

static json_t *tracking_of(size_t members, size_t value_len)
{
    static char value[KJ_TRACKING_BYTES_MAX + 1];
    json_t *tracking = json_object();
    memset(value, 'v', value_len);
    for (size_t i = 0; i < members; i++) {
        char key[24];
        snprintf(key, sizeof key, "%08zu", i);
        json_object_set_new(tracking, key, json_stringn(value, value_len));
    }
    return tracking;
}

static void publication_tracking_is_bounded(void **state)
{
    (void)state;
    static char name[KJ_TRACKING_NAME_MAX + 2];
    memset(name, 'n', KJ_TRACKING_NAME_MAX + 1);
    const struct {
        size_t members, value_len;
        const char *name;
        enum kj_status status;
    } rows[] = {
        {KJ_TRACKING_MEMBERS_MAX, KJ_TRACKING_BYTES_MAX / KJ_TRACKING_MEMBERS_MAX - 8, name + 1,
         KJ_OK},
        {KJ_TRACKING_MEMBERS_MAX + 1, 1, NULL, KJ_ELIMIT},
        {1, KJ_TRACKING_BYTES_MAX - 7, NULL, KJ_ELIMIT},
        {1, 1, name, KJ_ELIMIT},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        json_t *tracking = tracking_of(rows[i].members, rows[i].value_len);
        struct kj_publication *publication;
        assert_int_equal(
            kj_publication_new(&(struct kj_publication_options){.topic = "t",
                                                                .tracking_name = rows[i].name,
                                                                .tracking_data = tracking},
                               &publication),
            rows[i].status);
        assert_true((publication != NULL) == (rows[i].status == KJ_OK));
        kj_publication_unref(publication);
        json_decref(tracking);
    }
}

static void publication_without_topic_takes_the_subject(void **state)
{
    (void)state;
    struct kj_publication *publication;

    assert_int_equal(decode_hex("81a464617461c40178", "events", &publication), KJ_OK);

    assert_string_equal(kj_publication_topic(publication), "events");
    assert_int_equal(kj_publication_encoding(publication), KJ_ENCODING_JSON);
    kj_publication_unref(publication);
    assert_int_equal(decode_hex("81a464617461c40178", "", &publication), KJ_EPARSE);
    assert_int_equal(decode_hex("81a464617461c40178", NULL, &publication), KJ_EPARSE);
}

static void publication_without_tracking_data_is_written_without(void **state)
{
    (void)state;
    static const char hex[] =
        "82a8656e636f64696e67b06170706c69636174696f6e2f6a736f6ea5746f706963a174";
    struct kj_publication *publication;

    assert_int_equal(decode_hex(hex, NULL, &publication), KJ_OK);

    assert_encodes(publication, hex);
    kj_publication_unref(publication);
}

static void publication_with_an_unknown_encoding_is_json(void **state)
{
    (void)state;
    struct kj_publication *publication;

    assert_int_equal(decode_hex("82a8656e636f64696e67a178a5746f706963a174", NULL, &publication),
                     KJ_OK);

    assert_int_equal(kj_publication_encoding(publication), KJ_ENCODING_JSON);
    kj_publication_unref(publication);
}

static void envelopes_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "c1",
        "90",
        "c0",
        "81",
        "81a464617461ff",                     /* data: -1 */
        "81a46461746180",                     /* data: a map */
        "81a5746f706963a2740000",             /* topic with NUL */
        "81ac747261636b696e67446174618101c0", /* trackingData with an integer as key */
        "81ac747261636b696e674461746181a16bc0",
        "81ac747261636b696e674461746190",
        "81a9706172746974696f6ecf0000000100000000", /* partition beyond 32 bits */
        "81ac726573706f6e73654d6f6465a131",
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct kj_publication *publication;
        assert_int_equal(decode_hex(rows[i], "events", &publication), KJ_EPARSE);
        assert_null(publication);
    }
}

static void publications_are_counted(void **state)
{
    (void)state;
    struct kj_publication *publication;
    assert_int_equal(decode_hex(plain_hex, NULL, &publication), KJ_OK);

    struct kj_publication *again = kj_publication_ref(publication);
    kj_publication_unref(publication);

    assert_string_equal(kj_publication_topic(again), topic);
    kj_publication_unref(again);
    kj_publication_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publication_made_here_matches_the_vector),
        cmocka_unit_test(publication_carries_every_member),
        cmocka_unit_test(publication_options_reach_the_wire),
        cmocka_unit_test(publication_options_are_checked),
        cmocka_unit_test(publication_tracking_is_read_and_kept_by_copies),
        cmocka_unit_test(publication_tracking_is_bounded),
        cmocka_unit_test(publication_without_topic_takes_the_subject),
        cmocka_unit_test(publication_without_tracking_data_is_written_without),
        cmocka_unit_test(publication_with_an_unknown_encoding_is_json),
        cmocka_unit_test(envelopes_that_are_none_are_refused),
        cmocka_unit_test(publications_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
