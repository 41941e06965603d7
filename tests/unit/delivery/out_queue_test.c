/* out_queue_test.c - the frames waiting for a connection, against a plain array of them. */
#include "delivery/out_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void push_text(struct kj__out_queue *queue, enum kj__opcode opcode, const char *text)
{
    struct kj__out_frame *frame = kj__out_frame_new(opcode, (const uint8_t *)text, strlen(text));
    assert_non_null(frame);
    assert_true(kj__out_queue_push(queue, frame));
    kj__out_frame_unref(frame);
}

/* Takes `len` bytes off the front, as a socket would, and appends them to `out`. */
static void write_bytes(struct kj__out_queue *queue, size_t len, struct kj__buffer *out)
{
    struct iovec vector[8];
    int count = kj__out_queue_gather(queue, vector, 8);
    size_t taken = 0;
    for (int i = 0; i < count && taken < len; i++) {
        size_t part = vector[i].iov_len < len - taken ? vector[i].iov_len : len - taken;
        kj__buffer_append(out, vector[i].iov_base, part);
        taken += part;
    }
    kj__out_queue_written(queue, taken);
}

static void write_all(struct kj__out_queue *queue, size_t step, struct kj__buffer *out)
{
    while (!kj__out_queue_is_empty(queue)) {
        write_bytes(queue, step, out);
    }
}

static void frames_leave_in_order(void **state)
{
    (void)state;
    struct kj__out_queue queue;
    struct kj__buffer out = {0};
    kj__out_queue_init(&queue);
    for (int i = 0; i < 100; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%03d", i);
        push_text(&queue, KJ__FRAME_TEXT, text);
    }
    assert_int_equal(queue.bytes, 500);
    write_all(&queue, 7, &out);
    assert_int_equal(out.len, 500);
    for (size_t i = 0; i < 100; i++) {
        char wanted[8];
        (void)snprintf(wanted, sizeof wanted, "\x81\x03%03zu", i);
        assert_memory_equal(out.data + i * 5, wanted, 5);
    }
    assert_null(queue.ring); /* given back */
    kj__buffer_fini(&out);
    kj__out_queue_fini(&queue);
}

static void controls_overtake_data_but_split_no_frame(void **state)
{
    (void)state;
    struct kj__out_queue queue;
    struct kj__buffer out = {0};
    kj__out_queue_init(&queue);
    push_text(&queue, KJ__FRAME_TEXT, "aa");
    push_text(&queue, KJ__FRAME_TEXT, "bb");
    write_bytes(&queue, 3, &out); /* half of "aa" */
    push_text(&queue, KJ__FRAME_PING, "1");
    push_text(&queue, KJ__FRAME_PONG, "2");
    write_all(&queue, 1, &out);
    assert_int_equal(out.len, 14);
    assert_memory_equal(out.data,
                        "\x81\x02"
                        "aa\x89\x01"
                        "1\x8a\x01"
                        "2\x81\x02"
                        "bb",
                        14);
    kj__buffer_fini(&out);
    kj__out_queue_fini(&queue);
}

static void dropping_the_oldest_spares_notices(void **state)
{
    (void)state;
    struct kj__out_queue queue;
    struct kj__buffer out = {0};
    kj__out_queue_init(&queue);
    struct kj__out_frame *notice = kj__out_frame_new(KJ__FRAME_TEXT, (const uint8_t *)"n", 1);
    notice->is_notice = true;
    assert_true(kj__out_queue_push(&queue, notice));
    kj__out_frame_unref(notice);
    push_text(&queue, KJ__FRAME_TEXT, "a");
    push_text(&queue, KJ__FRAME_TEXT, "b");
    assert_true(kj__out_queue_drop_oldest(&queue));
    assert_true(kj__out_queue_drop_oldest(&queue));
    assert_false(kj__out_queue_drop_oldest(&queue));
    write_all(&queue, 100, &out);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "\x81\x01n", 3);
    kj__buffer_fini(&out);
    kj__out_queue_fini(&queue);
}

static void dropping_the_oldest_spares_controls_and_the_half_written(void **state)
{
    (void)state;
    struct kj__out_queue queue;
    struct kj__buffer out = {0};
    kj__out_queue_init(&queue);
    push_text(&queue, KJ__FRAME_TEXT, "a");
    push_text(&queue, KJ__FRAME_TEXT, "b");
    push_text(&queue, KJ__FRAME_TEXT, "c");
    write_bytes(&queue, 1, &out);
    push_text(&queue, KJ__FRAME_PING, "");
    assert_true(kj__out_queue_drop_oldest(&queue));
    write_all(&queue, 100, &out);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data,
                        "\x81\x01"
                        "a\x89\x00\x81\x01"
                        "c",
                        8);
    assert_false(kj__out_queue_drop_oldest(&queue));
    kj__buffer_fini(&out);
    kj__out_queue_fini(&queue);
}

static void dropping_data_leaves_what_must_still_go(void **state)
{
    (void)state;
    struct kj__out_queue queue;
    struct kj__buffer out = {0};
    kj__out_queue_init(&queue);
    for (int i = 0; i < 10; i++) {
        push_text(&queue, KJ__FRAME_TEXT, "x");
    }
    write_bytes(&queue, 4, &out); /* one whole and a third */
    push_text(&queue, KJ__FRAME_PONG, "");
    assert_int_equal(kj__out_queue_drop_data(&queue), 8);
    write_all(&queue, 100, &out);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data + 3, "\x81\x01x\x8a\x00", 5);
    kj__buffer_fini(&out);
    kj__out_queue_fini(&queue);
}

static void a_frame_is_shared_not_copied(void **state)
{
    (void)state;
    struct kj__out_queue first;
    struct kj__out_queue second;
    kj__out_queue_init(&first);
    kj__out_queue_init(&second);
    struct kj__out_frame *frame = kj__out_frame_new(KJ__FRAME_TEXT, (const uint8_t *)"x", 1);
    assert_non_null(frame);
    assert_true(kj__out_queue_push(&first, frame));
    assert_true(kj__out_queue_push(&second, frame));
    assert_int_equal(frame->refs, 3);
    kj__out_queue_fini(&first);
    kj__out_queue_fini(&second);
    assert_int_equal(frame->refs, 1);
    kj__out_frame_unref(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_leave_in_order),
        cmocka_unit_test(controls_overtake_data_but_split_no_frame),
        cmocka_unit_test(dropping_the_oldest_spares_notices),
        cmocka_unit_test(dropping_the_oldest_spares_controls_and_the_half_written),
        cmocka_unit_test(dropping_data_leaves_what_must_still_go),
        cmocka_unit_test(a_frame_is_shared_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
