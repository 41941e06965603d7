/* profiles_memory_test.c - the protocols of go-push and healing2021 under an allocator that fails at
 * each call in turn.
 *
 * What leaks is the address sanitizer's to report.
 */
#include "gateway/client.h"
#include "handlers/gopush.h"
#include "handlers/healing.h"
#include "support/failing_allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Fails unless `attempt` fails for want of memory, and only then. */
static void try_each(enum kj_status (*attempt)(void))
{
    enum kj_status status = KJ_ENOMEM;
    for (long calls = 0; status == KJ_ENOMEM; calls++) {
        allocator_fail_after(calls, false);
        status = attempt();
        bool has_failed = allocator_recover();
        assert_int_equal(status, has_failed ? KJ_ENOMEM : KJ_OK);
        assert_in_range(calls, 0, 1000);
    }
}

static enum kj_status make_gopush(void)
{
    struct kj_gopush *gopush;
    enum kj_status status = kj_gopush_new(NULL, &gopush);
    assert_true(status == KJ_OK || !gopush);
    kj_gopush_free(gopush);
    return status;
}

static enum kj_status cut_items(void)
{
    static const char text[] = "[1,{\"a\":[2,\"3\"]},null]";
    struct gopush_item *items;
    size_t count;
    enum kj_status status = gopush_items_cut((const uint8_t *)text, sizeof text - 1, &items,
                                             &count);
    assert_int_equal(count, status ? 0 : 3);
    free(items);
    return status;
}

static struct kj_push *make_push(const char *body, bool is_json)
{
    const struct kj__push_parts parts = {.kind = KJ_TOPIC_ROOM,
                                         .name = "r",
                                         .from = "",
                                         .body = (const uint8_t *)body,
                                         .body_len = strlen(body),
                                         .body_is_json = is_json};
    struct kj__buffer bytes = {0};
    struct kj_push *push = NULL;
    kj__push_encode(&parts, &bytes);
    enum kj_status status = bytes.failed ? KJ_ENOMEM
                                         : kj__push_decode(bytes.data, bytes.len, &push);
    kj__buffer_fini(&bytes);
    return status ? NULL : push;
}

/* One frame of two pushes, or two. */
static enum kj_status encode(const struct kj_protocol *protocol, bool are_json, size_t wanted)
{
    static const struct kj__mount mount;
    struct kj_frames frames = {.mount = &mount};
    struct kj_push *pushes[] = {make_push("[1,{\"a\":\"b\"}]", true), make_push("\"x\"", are_json)};
    enum kj_status status = KJ_ENOMEM;
    if (pushes[0] && pushes[1]) {
        status = protocol->encode(0, (const struct kj_push *const *)pushes, 2, &frames,
                                  protocol->ctx);
        assert_true(status || frames.count == wanted);
    }
    for (size_t i = 0; i < 2; i++) {
        kj__push_unref(pushes[i]);
    }
    for (size_t i = 0; i < frames.count; i++) {
        kj__out_frame_unref(frames.items[i]);
    }
    free(frames.items);
    return status;
}

static enum kj_status encode_for_gopush(void)
{
    static struct kj_gopush gopush;
    const struct kj_protocol protocol = kj_gopush_protocol(&gopush);
    return encode(&protocol, false, 1);
}

static enum kj_status encode_for_healing(void)
{
    static struct kj_healing healing;
    const struct kj_protocol protocol = kj_healing_protocol(&healing);
    return encode(&protocol, true, 2);
}

static enum kj_status make_healing(void)
{
    struct kj_healing *healing;
    enum kj_status status = kj_healing_new(&(struct kj_healing_options){.cookie = "uid"}, &healing);
    assert_true(status == KJ_OK || !healing);
    kj_healing_free(healing);
    return status;
}

static json_t *said;

static enum kj_status read_letters(void)
{
    struct healing_letter letter;
    enum kj_status status = healing_letter_read(&letter, said, "12");
    healing_letter_free(&letter);
    if (!status) {
        status = healing_letter_read_system(&letter, said);
        healing_letter_free(&letter);
    }
    return status;
}

static void go_push_survives_every_failing_allocation(void **state)
{
    (void)state;
    try_each(make_gopush);
    try_each(cut_items);
    try_each(encode_for_gopush);
}

static void healing_survives_every_failing_allocation(void **state)
{
    (void)state;
    said = json_pack("{s:i, s:i, s:s, s:i, s:[i]}", "fromUser", 12, "toUser", 34, "message", "hi",
                     "uid", 34, "more", 7);
    assert_non_null(said);
    try_each(make_healing);
    try_each(read_letters);
    try_each(encode_for_healing);
    json_decref(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_push_survives_every_failing_allocation),
        cmocka_unit_test(healing_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
