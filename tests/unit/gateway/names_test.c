/* names_test.c - names of topics as words of the backend, and the IDs of clients. */
#include "gateway/subject.h"

#include <kujata/pubsub.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a word stands for; the way back shows that no two names are one word. */
static void read_back(const char *word, char name[KJ_NAME_MAX + 1])
{
    size_t len = 0;
    for (; *word; word++) {
        unsigned byte = (unsigned char)*word;
        if (*word == '=') {
            assert_int_equal(sscanf(word + 1, "%2X", &byte), 1);
            word += 2;
        }
        assert_true(len < KJ_NAME_MAX);
        name[len++] = (char)byte;
    }
    name[len] = '\0';
}

static void check(const char *name)
{
    struct kj__buffer words = {0};
    char back[KJ_NAME_MAX + 1];
    assert_true(kj_name_is_valid(name));
    kj__topic_words(KJ_TOPIC_ROOM, name, &words);
    assert_false(words.failed);
    const char *text = (const char *)words.data;
    assert_true(kj_topic_is_valid(text));
    assert_int_equal(strncmp(text, "room.", 5), 0);
    assert_null(strchr(text + 5, '.'));
    read_back(text + 5, back);
    assert_string_equal(back, name);
    kj__buffer_fini(&words);
}

static void any_name_is_one_word_and_its_own(void **state)
{
    (void)state;
    static const char *const names[] = {"a",
                                        "live://1000",
                                        "a.b",
                                        "a=2Eb",
                                        "*",
                                        ">",
                                        " ",
                                        "=",
                                        "==",
                                        "\xE6\x88\xBF\xE9\x97\xB4",
                                        "\x01\x7F",
                                        "A_b-9",
                                        "\xF0\x9F\x90\xB1",
                                        "room.x",
                                        "%2E"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check(names[i]);
    }
    char longest[KJ_NAME_MAX + 1];
    memset(longest, '.', KJ_NAME_MAX);
    longest[KJ_NAME_MAX] = '\0';
    check(longest);
}

static void random_names_are_one_word_and_their_own(void **state)
{
    (void)state;
    srandom(1);
    for (int turn = 0; turn < 20000; turn++) {
        char name[KJ_NAME_MAX + 1];
        size_t len = 1 + (size_t)random() % 12;
        for (size_t i = 0; i < len; i++) {
            name[i] = (char)(1 + random() % 127);
        }
        name[len] = '\0';
        check(name);
    }
}

static void names_have_their_length_and_are_text(void **state)
{
    (void)state;
    char name[KJ_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[KJ_NAME_MAX + 1] = '\0';
    assert_false(kj_name_is_valid(name));
    name[KJ_NAME_MAX] = '\0';
    assert_true(kj_name_is_valid(name));
    assert_false(kj_name_is_valid(""));
    assert_false(kj_name_is_valid(NULL));
    assert_false(kj_name_is_valid("\xFF"));
    assert_false(kj_name_is_valid("\xED\xA0\x80"));
}

static void only_what_has_a_name_may_have_one(void **state)
{
    (void)state;
    assert_true(kj__topic_name_is_valid(KJ_TOPIC_ALL, NULL));
    assert_true(kj__topic_name_is_valid(KJ_TOPIC_ALL, ""));
    assert_false(kj__topic_name_is_valid(KJ_TOPIC_ALL, "x"));
    assert_false(kj__topic_name_is_valid(KJ_TOPIC_ROOM, NULL));
    assert_false(kj__topic_name_is_valid(KJ_TOPIC_SESSION, "x"));
    assert_true(kj__topic_name_is_valid(KJ_TOPIC_SESSION, "a-1"));
}

static void clients_are_told_by_node_and_number(void **state)
{
    (void)state;
    static const uint64_t ids[] = {0, 1, UINT64_MAX, (uint64_t)0xabcdef << KJ__CLIENT_BITS | 7};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char text[KJ_CLIENT_ID_SIZE];
        uint64_t back = 99;
        kj_client_id_format(ids[i], text);
        assert_true(kj_client_id_parse(text, &back));
        assert_int_equal(back, ids[i]);
    }
    static const char *const wrong[] = {
        "",     "-",   "1-",   "-1",        "1-2-3",         "01-2",
        "1-02", "A-1", "1 -2", "1000000-1", "1-10000000000", "ffffffffffffffffffffffff-1",
        "1-2 "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t id;
        assert_false(kj_client_id_parse(wrong[i], &id));
    }
}

static void a_session_is_reached_by_its_node(void **state)
{
    (void)state;
    struct kj__buffer session = {0};
    struct kj__buffer node = {0};
    kj__topic_words(KJ_TOPIC_SESSION, "abc-12", &session);
    kj__node_words(0xabc, &node);
    assert_string_equal(session.data, node.data);
    assert_string_equal(session.data, "node.abc");
    kj__buffer_fini(&session);
    kj__buffer_fini(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_name_is_one_word_and_its_own),
        cmocka_unit_test(random_names_are_one_word_and_their_own),
        cmocka_unit_test(names_have_their_length_and_are_text),
        cmocka_unit_test(only_what_has_a_name_may_have_one),
        cmocka_unit_test(clients_are_told_by_node_and_number),
        cmocka_unit_test(a_session_is_reached_by_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
