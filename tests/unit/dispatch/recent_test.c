/* recent_test.c - what a shard keeps of the latest events. */
#include "dispatch/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 200 };

static const struct kj_dispatch_handler handler;
static const struct kj__endpoint endpoint;

/* An event with this number, whose entity holds a text of `len` bytes. */
static struct kj__message *make(uint64_t number, size_t len)
{
    struct kj__delivery delivery = {.shard_count = 0};
    char *text = calloc(len + 1, 1);
    memset(text, 'x', len);
    json_t *entity = json_pack("{s:s}", "text", text);
    struct kj_event *event;
    assert_int_equal(kj_event_new_untyped("task", KJ_EVENT_CREATE, entity, &event), KJ_OK);
    json_decref(entity);
    free(text);
    struct kj__message *message = kj__message_new_take(event, &handler, &delivery, &endpoint, 0);
    assert_non_null(message);
    message->number = number;
    message->stream = "0123456789abcdef";
    message->weight = kj__message_weigh(message);
    return message;
}

static void add(struct kj__recent *recent, uint64_t number, size_t len)
{
    struct kj__message *message = make(number, len);
    kj__recent_add(recent, message);
    kj__message_unref(message);
}

/* It holds the messages from `first` to `last`, each in its place, and their bytes. */
static void assert_holds(const struct kj__recent *recent, uint64_t first, uint64_t last)
{
    size_t bytes = 0;
    assert_int_equal(recent->first, first);
    assert_int_equal(recent->last, last);
    for (uint64_t number = first; number <= last; number++) {
        const struct kj__message *message = kj__recent_at(recent, number);
        assert_int_equal(message->number, number);
        bytes += message->weight;
    }
    assert_int_equal(recent->bytes, bytes);
    assert_true(bytes <= recent->bytes_max);
}

static void ring_keeps_the_latest(void **state)
{
    (void)state;
    for (uint32_t capacity = 1; capacity < 10; capacity++) {
        struct kj__recent recent;
        assert_true(kj__recent_init(&recent, capacity, 1 << 20));
        assert_holds(&recent, 1, 0);
        for (uint64_t number = 1; number <= MANY; number++) {
            add(&recent, number, 1);
            assert_holds(&recent, number > capacity ? number - capacity + 1 : 1, number);
        }
        kj__recent_fini(&recent);
    }
}

/* A filter that looks at an event has its entity decoded, which stays with it. */
static void weight_is_of_a_decoded_entity_too(void **state)
{
    (void)state;
    enum { VALUES = 1000 };
    static const struct kj__delivery delivery;
    json_t *numbers = json_array();
    for (int i = 0; i < VALUES; i++) {
        json_array_append_new(numbers, json_integer(1));
    }
    json_t *entity = json_pack("{s:o}", "numbers", numbers);
    size_t decoded = VALUES * (sizeof(json_t) + sizeof(json_int_t) + sizeof(json_t *));
    for (int is_json = 0; is_json < 2; is_json++) {
        struct kj_event *event;
        assert_int_equal(kj_event_new_untyped("task", KJ_EVENT_CREATE, entity, &event), KJ_OK);
        if (is_json) {
            uint8_t *bytes;
            size_t len;
            assert_int_equal(kj_event_encode(event, KJ_ENCODING_JSON, &bytes, &len), KJ_OK);
            kj_event_unref(event);
            assert_int_equal(kj_event_decode(bytes, len, KJ_ENCODING_JSON, &event), KJ_OK);
            free(bytes);
        }
        struct kj__message *message = kj__message_new_take(event, &handler, &delivery, &endpoint,
                                                           0);
        assert_non_null(message);
        assert_true(kj__message_weigh(message) > decoded);
        kj__message_unref(message);
    }
    json_decref(entity);
}

static void bytes_are_a_bound(void **state)
{
    (void)state;
    struct kj__message *sample = make(1, 1000);
    size_t weight = sample->weight;
    kj__message_unref(sample);
    assert_true(weight > 3000);
    struct kj__recent recent;
    assert_true(kj__recent_init(&recent, MANY, 3 * weight));
    for (uint64_t number = 1; number <= 10; number++) {
        add(&recent, number, 1000);
        assert_holds(&recent, number > 3 ? number - 2 : 1, number);
    }
    add(&recent, 11, 1500); /* makes two go, or three */
    assert_true(recent.first >= 10);
    assert_holds(&recent, recent.first, 11);
    add(&recent, 12, 100000); /* larger than all that may be kept */
    assert_holds(&recent, 13, 12);
    add(&recent, 13, 1);
    assert_holds(&recent, 13, 13);
    kj__recent_fini(&recent);
}

static void gap_gives_up_what_was_before_it(void **state)
{
    (void)state;
    struct kj__recent recent;
    assert_true(kj__recent_init(&recent, MANY, 1 << 20));
    add(&recent, 1, 1);
    add(&recent, 2, 1);
    add(&recent, 4, 1);
    assert_holds(&recent, 4, 4);
    add(&recent, 5, 1);
    assert_holds(&recent, 4, 5);
    kj__recent_fini(&recent);
}

static void ring_without_room_keeps_nothing(void **state)
{
    (void)state;
    struct kj__recent recent;
    assert_true(kj__recent_init(&recent, 0, 1 << 20));
    for (uint64_t number = 1; number <= 3; number++) {
        add(&recent, number, 1);
        assert_holds(&recent, number + 1, number);
    }
    kj__recent_fini(&recent);
}

static void random_sizes_stay_within_the_bounds(void **state)
{
    (void)state;
    struct kj__recent recent;
    unsigned int seed = 7;
    assert_true(kj__recent_init(&recent, 16, 20000));
    for (uint64_t number = 1; number <= 10 * MANY; number++) {
        add(&recent, number, (size_t)rand_r(&seed) % 2000);
        assert_true(recent.last + 1 - recent.first <= 16);
        assert_holds(&recent, recent.first, number);
    }
    kj__recent_fini(&recent);
}

/* One frame for all that share it, and the others do not change. */
static void forms_are_made_once(void **state)
{
    (void)state;
    struct kj__message *message = make(7, 3);
    for (int encoding = 0; encoding < KJ_ENCODING_COUNT; encoding++) {
        uint32_t form = kj__form_of((enum kj_encoding)encoding, true);
        const struct kj__out_frame *plain = kj__message_frame(message, (uint32_t)encoding);
        struct kj__out_frame *numbered = kj__message_frame(message, form);
        assert_ptr_equal(kj__message_frame(message, form), numbered);
        assert_true(numbered->len > plain->len);
        struct kj_event *event;
        size_t header = numbered->bytes[1] == 126 ? 4 : 2;
        assert_int_equal(kj_event_decode(numbered->bytes + header, numbered->len - header,
                                         (enum kj_encoding)encoding, &event),
                         KJ_OK);
        assert_string_equal(kj_event_seq(event), "0123456789abcdef-7");
        kj_event_unref(event);
    }
    kj__message_unref(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_keeps_the_latest),
        cmocka_unit_test(weight_is_of_a_decoded_entity_too),
        cmocka_unit_test(bytes_are_a_bound),
        cmocka_unit_test(gap_gives_up_what_was_before_it),
        cmocka_unit_test(ring_without_room_keeps_nothing),
        cmocka_unit_test(random_sizes_stay_within_the_bounds),
        cmocka_unit_test(forms_are_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
