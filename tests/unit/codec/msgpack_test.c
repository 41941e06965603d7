/* msgpack_test.c - what the msgpack walk refuses, and values read and written. */
#include "bytes.h"
#include "codec/json.h"
#include "codec/msgpack.h"

#include <msgpack.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static void msgpack_check_measures_the_first_value(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        size_t used;
    } rows[] = {
        {"c0", 1},
        {"81a161a162ffff", 5},
        {"de000181a161", 0}, /* a map as key */
        {"de0001a16180", 6},
        {"df00000001a161c40101", 10},
        {"dc0002cb3ff000000000000001", 13},
        {"d6ff00000001", 6},
        {"c70cff000000010000000000000001", 15},
        {"c8000105aa", 5},
        {"c90000000105aa", 7},
        {"d905616263646500", 7},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        size_t len, used = 0;
        uint8_t *bytes = bytes_from_hex(rows[i].hex, &len);

        enum kj_status status = kj__msgpack_check(bytes, len, &used, NULL);

        assert_int_equal(status, rows[i].used ? KJ_OK : KJ_EPARSE);
        assert_int_equal(used, rows[i].used);
        free(bytes);
    }
}

static void msgpack_check_says_eof_of_every_prefix(void **state)
{
    (void)state;
    size_t len;
    uint8_t *whole = bytes_from_hex("88a16101c40162cd0102a163cb3ff0000000000000a16493c0c2c3"
                                    "a165d7ff0000000400000001a166c70305616263a167ca3f800000"
                                    "a168da0001",
                                    &len);
    whole[len - 1] = 0; /* an empty str16 */
    size_t used;
    assert_int_equal(kj__msgpack_check(whole, len, &used, NULL), KJ_OK);
    assert_int_equal(used, len);

    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *prefix = malloc(cut ? cut : 1);
        assert_non_null(prefix);
        memcpy(prefix, whole, cut);
        struct kj_error error;

        assert_int_equal(kj__msgpack_check(prefix, cut, NULL, &error), KJ_EPARSE);

        assert_string_equal(error.text, "EOF");
        free(prefix);
    }
    free(whole);
}

static void msgpack_check_refuses_counts_beyond_the_bytes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "dd7fffffff", "dfffffffff00", "81a46e616d65db7fffffff61",
        "c6ffffffff", "c9ffffffff05", "82a46e616d65a161a5736c696365dd7fffffff",
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        size_t len;
        uint8_t *bytes = bytes_from_hex(texts[i], &len);
        struct kj_error error;

        assert_int_equal(kj__msgpack_check(bytes, len, NULL, &error), KJ_EPARSE);

        assert_string_equal(error.text, "EOF");
        free(bytes);
    }
}

static void msgpack_check_refuses_bad_keys_and_bytes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "c1", /* reserved */
        "91c1",
        "8101a178", /* an integer as key */
        "81c3a178",
        "8190c0",
        "82a16101a16102",         /* the same key twice */
        "82a16101c4016102",       /* also when one is bin */
        "83a16201a16101a16202",   /* also when they are apart */
        "81a1629281c08082a100c0", /* deep inside */
        "81a2610001",             /* NUL in a key */
        "82a1ff01a1fe02",         /* keys that are not UTF-8 */
    };
    for (size_t i = 0; i < LENGTH(texts); i++) {
        size_t len;
        uint8_t *bytes = bytes_from_hex(texts[i], &len);

        assert_int_equal(kj__msgpack_check(bytes, len, NULL, NULL), KJ_EPARSE);

        free(bytes);
    }
}

static void msgpack_check_finds_one_duplicate_among_many_keys(void **state)
{
    (void)state;
    struct kj__buffer map;
    kj__buffer_init(&map);
    kj__msgpack_put_map(&map, 1001);
    for (int i = 0; i < 1001; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "%d", (i * 7) % 1000);
        kj__msgpack_put_text(&map, key, strlen(key));
        kj__msgpack_put_nil(&map);
    }

    assert_int_equal(kj__msgpack_check(map.data, map.len, NULL, NULL), KJ_EPARSE);

    kj__buffer_fini(&map);
}

static void msgpack_check_limits_nesting_to_64(void **state)
{
    (void)state;
    uint8_t bytes[KJ__NESTING_MAX + 2];
    memset(bytes, 0x91, sizeof bytes);
    bytes[KJ__NESTING_MAX] = 0xc0;
    assert_int_equal(kj__msgpack_check(bytes, sizeof bytes, NULL, NULL), KJ_OK);

    bytes[KJ__NESTING_MAX] = 0x90;
    assert_int_equal(kj__msgpack_check(bytes, sizeof bytes, NULL, NULL), KJ_ELIMIT);
}

static void assert_decodes(const char *hex, const char *json)
{
    size_t len;
    uint8_t *bytes = bytes_from_hex(hex, &len);
    json_t *value;
    struct kj__buffer text;
    kj__buffer_init(&text);

    assert_int_equal(kj__msgpack_decode(bytes, len, &value, NULL), KJ_OK);

    assert_int_equal(kj__json_encode(value, &text), KJ_OK);
    assert_bytes_text(text.data, text.len, json);
    json_decref(value);
    kj__buffer_fini(&text);
    free(bytes);
}

static void msgpack_decode_reads_every_form(void **state)
{
    (void)state;
    assert_decodes("84a16bcd0100a171d38000000000000000a172cfffffffffffffffffa173a0",
                   "{\"k\":256,\"q\":-9223372036854775808,\"r\":18446744073709552000,\"s\":\"\"}");
    assert_decodes("81a46e616d65d90161", "{\"name\":\"a\"}");
    assert_decodes("81a46e616d65db0000000161", "{\"name\":\"a\"}");
    assert_decodes("81c4046e616d65a161", "{\"name\":\"a\"}");
    assert_decodes("81a46e616d65c403616263", "{\"name\":\"YWJj\"}");
    assert_decodes("81a46e616d65a2fffe", "{\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\"}");
    assert_decodes("93d6ff00000001d7ff0000000400000001c70cff000000010000000000000001",
                   "[\"1970-01-01T00:00:01Z\",\"1970-01-01T00:00:01.000000001Z\","
                   "\"1970-01-01T00:00:01.000000001Z\"]");
    assert_decodes("94cb7ff8000000000000ca3f800000c3c0", "[null,1.0,true,null]");
    assert_decodes("c0", "null");
    assert_decodes("81a161a3610062", "{\"a\":\"a\\u0000b\"}");
}

static void msgpack_decode_turns_nothing_into_null_unasked(void **state)
{
    (void)state;
    static const char *const values[] = {
        "d40561",                         /* an extension that is not a time */
        "c703ff000001",                   /* a time of three bytes */
        "d7ffffffffff00000001",           /* a second with too many nanoseconds */
        "c70cff000000007fffffffffffffff", /* no year RFC 3339 can write */
        "81a464617465c70cff3b9aca000000000000000001",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        size_t len;
        uint8_t *bytes = bytes_from_hex(values[i], &len);
        json_t *value;

        assert_int_equal(kj__msgpack_decode(bytes, len, &value, NULL), KJ_EPARSE);

        assert_null(value);
        free(bytes);
    }
}

static enum kj__member_kind kind_of(const void *ctx, const char *member)
{
    (void)ctx;
    if (strcmp(member, "date") == 0) {
        return KJ__MEMBER_TIME;
    }
    return strcmp(member, "dates") == 0 ? KJ__MEMBER_LIST_OF_TIMES : KJ__MEMBER_PLAIN;
}

static const struct kj__member_kinds kinds = {.kind_of = kind_of};

static void assert_encodes(const char *json, const struct kj__member_kinds *with, const char *hex)
{
    json_t *value;
    struct kj__buffer out;
    kj__buffer_init(&out);
    assert_int_equal(kj__json_decode((const uint8_t *)json, strlen(json), &value, NULL), KJ_OK);

    assert_int_equal(kj__msgpack_encode(value, with, &out), hex ? KJ_OK : KJ_EINVAL);

    assert_bytes_hex(out.data, out.len, hex ? hex : "");
    kj__buffer_fini(&out);
    json_decref(value);
}

static void msgpack_encode_writes_as_go_does_for_typed_objects(void **state)
{
    (void)state;
    assert_encodes("{\"b\":300,\"a\":-1,\"ID\":\"x\",\"aa\":[1.5,true,null]}", NULL,
                   "84a24944a178a161ffa2616193cb3ff8000000000000c3c0a162d1012c");
    assert_encodes("[127,128,255,32767,32768,2147483647,2147483648]", NULL,
                   "977fd10080d100ffd17fffd200008000d27fffffffd30000000080000000");
    assert_encodes("[-32,-33,-128,-129,-32768,-32769,-2147483649]", NULL,
                   "97e0d0dfd080d1ff7fd18000d2ffff7fffd3ffffffff7fffffff");
}

static void msgpack_encode_turns_time_members_into_times(void **state)
{
    (void)state;
    assert_encodes("{\"date\":\"2020-03-17T18:47:27Z\"}", &kinds, "81a464617465d6ff5e711b3f");
    assert_encodes("{\"date\":\"2020-03-17T18:47:27.000000005Z\"}", &kinds,
                   "81a464617465d7ff000000145e711b3f");
    assert_encodes("{\"date\":\"2514-05-30T01:53:04.000000005Z\"}", &kinds,
                   "81a464617465c70cff000000050000000400000000");
    assert_encodes("{\"date\":\"1960-01-01T00:00:00Z\"}", &kinds,
                   "81a464617465c70cff00000000ffffffffed300880");
    assert_encodes("{\"date\":\"0001-01-01T00:00:00Z\"}", &kinds, "81a464617465c0");
    assert_encodes("{\"date\":null}", &kinds, "81a464617465c0");
    assert_encodes("{\"date\":\"\"}", &kinds, "81a464617465c0");
    assert_encodes("{\"dates\":[\"1970-01-01T00:00:01Z\",null]}", &kinds,
                   "81a5646174657392d6ff00000001c0");
    assert_encodes("{\"dates\":null}", &kinds, "81a56461746573c0");
    assert_encodes("{\"x\":{\"date\":\"a\"}}", &kinds, "81a17881a464617465a161");
}

static void msgpack_encode_refuses_times_that_are_none(void **state)
{
    (void)state;
    assert_encodes("{\"date\":\"yesterday\"}", &kinds, NULL);
    assert_encodes("{\"date\":12}", &kinds, NULL);
    assert_encodes("{\"dates\":\"1970-01-01T00:00:01Z\"}", &kinds, NULL);
    assert_encodes("{\"dates\":[1]}", &kinds, NULL);
}

static void pack_random(msgpack_packer *packer, int depth)
{
    static const char text[300] = "0123456789abcdef0123456789abcdef";
    int count = rand() % 6;
    switch (rand() % (depth > 0 ? 10 : 8)) {
    case 0:
        msgpack_pack_nil(packer);
        break;
    case 1:
        msgpack_pack_true(packer);
        break;
    case 2:
        msgpack_pack_int64(packer, rand() - RAND_MAX / 2);
        break;
    case 3:
        msgpack_pack_uint64(packer, (uint64_t)rand() << (rand() % 33));
        break;
    case 4:
        msgpack_pack_double(packer, rand() / 8.0);
        break;
    case 5:
        msgpack_pack_str(packer, 20);
        msgpack_pack_str_body(packer, text, 20);
        break;
    case 6:
        msgpack_pack_bin(packer, 290);
        msgpack_pack_bin_body(packer, text, 290);
        break;
    case 7:
        msgpack_pack_timestamp(packer, &(msgpack_timestamp){.tv_sec = rand()});
        break;
    case 8:
        msgpack_pack_array(packer, (size_t)count);
        for (int i = 0; i < count; i++) {
            pack_random(packer, depth - 1);
        }
        break;
    default:
        msgpack_pack_map(packer, (size_t)count);
        for (int i = 0; i < count; i++) {
            msgpack_pack_str(packer, 1);
            msgpack_pack_str_body(packer, &"zyxwvu"[i], 1);
            pack_random(packer, depth - 1);
        }
        break;
    }
}

static void msgpack_reader_agrees_with_msgpack_c_on_random_values(void **state)
{
    (void)state;
    srand(2);
    for (int i = 0; i < 3000; i++) {
        msgpack_sbuffer packed;
        msgpack_sbuffer_init(&packed);
        msgpack_packer packer;
        msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
        pack_random(&packer, 5);
        const uint8_t *bytes = (const uint8_t *)packed.data;
        size_t used = 0;
        json_t *tree;
        struct kj__buffer streamed, written;
        kj__buffer_init(&streamed);
        kj__buffer_init(&written);

        assert_int_equal(kj__msgpack_check(bytes, packed.size, &used, NULL), KJ_OK);
        assert_int_equal(used, packed.size);

        /* The tree and the stream are two ways to the same text. */
        assert_int_equal(kj__msgpack_decode(bytes, packed.size, &tree, NULL), KJ_OK);
        assert_int_equal(kj__json_encode(tree, &written), KJ_OK);
        assert_int_equal(kj__msgpack_to_json(bytes, packed.size, &streamed), KJ_OK);
        assert_int_equal(written.len, streamed.len);
        assert_memory_equal(written.data, streamed.data, written.len);

        /* What we write, msgpack-c reads to its end. */
        written.len = 0;
        assert_int_equal(kj__msgpack_encode(tree, NULL, &written), KJ_OK);
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t offset = 0;
        assert_int_equal(
            msgpack_unpack_next(&unpacked, (const char *)written.data, written.len, &offset),
            MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, written.len);

        msgpack_unpacked_destroy(&unpacked);
        json_decref(tree);
        kj__buffer_fini(&written);
        kj__buffer_fini(&streamed);
        msgpack_sbuffer_destroy(&packed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(msgpack_check_measures_the_first_value),
        cmocka_unit_test(msgpack_check_says_eof_of_every_prefix),
        cmocka_unit_test(msgpack_check_refuses_counts_beyond_the_bytes),
        cmocka_unit_test(msgpack_check_refuses_bad_keys_and_bytes),
        cmocka_unit_test(msgpack_check_finds_one_duplicate_among_many_keys),
        cmocka_unit_test(msgpack_check_limits_nesting_to_64),
        cmocka_unit_test(msgpack_decode_reads_every_form),
        cmocka_unit_test(msgpack_decode_turns_nothing_into_null_unasked),
        cmocka_unit_test(msgpack_encode_writes_as_go_does_for_typed_objects),
        cmocka_unit_test(msgpack_encode_turns_time_members_into_times),
        cmocka_unit_test(msgpack_encode_refuses_times_that_are_none),
        cmocka_unit_test(msgpack_reader_agrees_with_msgpack_c_on_random_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
