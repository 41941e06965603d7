/* messages_test.c - the message store, in memory and, compiled with MESSAGES_FILE, in a file. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/storage.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, BYTES = 1 << 20 };

static int64_t now_ms;

static int64_t read_clock(void *ctx)
{
    (void)ctx;
    return now_ms;
}

static struct kj_messages *open_with(struct kj_messages_options options)
{
    struct kj_messages *messages;
    struct kj_error error = {0};
    options.now_ms = read_clock;
    now_ms = 1000000000;
#ifdef MESSAGES_FILE
    options.path = storage_path();
#endif
    if (kj_messages_new(&options, &messages, &error)) {
        fail_msg("%s", error.text);
    }
    return messages;
}

static struct kj_messages *open_default(void)
{
    return open_with((struct kj_messages_options){0});
}

static void close_store(struct kj_messages *messages)
{
    kj_messages_free(messages);
#ifdef MESSAGES_FILE
    storage_remove();
#endif
}

static const struct kj_messages_append both = {.to_mailbox = true, .to_history = true};

/* A message whose body is its ID in decimal digits. */
static struct kj_messages_receipt say(struct kj_messages *messages, uint64_t id, const char *from,
                                      const char *to, const struct kj_messages_append *append)
{
    char body[24];
    struct kj_messages_receipt receipt;
    int len = snprintf(body, sizeof body, "%" PRIu64, id);
    const struct kj_message message = {.id = id,
                                       .user = to,
                                       .from = from,
                                       .op = 7,
                                       .time_ms = now_ms,
                                       .body = (const uint8_t *)body,
                                       .body_len = (size_t)len,
                                       .body_is_json = true};
    assert_int_equal(kj_messages_append(messages, &message, append, &receipt), KJ_OK);
    return receipt;
}

static void say_in_room(struct kj_messages *messages, uint64_t id, const char *room)
{
    struct kj_messages_receipt receipt;
    const struct kj_message message = {.id = id,
                                       .room = room,
                                       .from = "ann",
                                       .time_ms = now_ms,
                                       .body = (const uint8_t *)"\0x",
                                       .body_len = 2};
    const struct kj_messages_append append = {.to_history = true};
    assert_int_equal(kj_messages_append(messages, &message, &append, &receipt), KJ_OK);
}

static void check_ids(const struct kj_messages_page *page, size_t count, const uint64_t *ids)
{
    assert_int_equal(page->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(page->items[i].id, ids[i]);
    }
}

/* The IDs of a page, which ends with 0. */
#define CHECK(page, ...)                                                                           \
    do {                                                                                           \
        struct kj_messages_page *checked = (page);                                                 \
        const uint64_t expected[] = {__VA_ARGS__, 0};                                              \
        check_ids(checked, sizeof expected / sizeof *expected - 1, expected);                      \
        kj_messages_page_free(checked);                                                            \
    } while (0)

static struct kj_messages_page *mail(struct kj_messages *messages, const char *user, int64_t after,
                                     size_t max)
{
    struct kj_messages_page *page;
    assert_int_equal(kj_messages_mailbox(messages, user, after, max, BYTES, &page), KJ_OK);
    return page;
}

static size_t unread(struct kj_messages *messages, const char *user)
{
    size_t count;
    assert_int_equal(kj_messages_unread(messages, user, 0, &count), KJ_OK);
    return count;
}

static struct kj_messages_page *history(struct kj_messages *messages, const char *one,
                                        const char *other, uint64_t before, uint64_t after,
                                        size_t max)
{
    struct kj_messages_page *page;
    const struct kj_history_query query = {.conversation = {.users = {one, other}},
                                           .before = before,
                                           .after = after,
                                           .max = max,
                                           .max_bytes = BYTES};
    assert_int_equal(kj_messages_history(messages, &query, &page), KJ_OK);
    return page;
}

static uint64_t counted;

static void pick(const char *name, const char *help, uint64_t value, void *ctx)
{
    assert_non_null(help);
    if (strcmp(name, ctx) == 0) {
        counted = value;
    }
}

static uint64_t counter(struct kj_messages *messages, const char *name)
{
    counted = UINT64_MAX;
    kj_messages_counters(messages, pick, (void *)name);
    return counted;
}

/* ---- mailboxes ---- */

static void a_mailbox_gives_what_came_in_the_order_it_came(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    say(messages, 30, "ann", "bob", &both);
    say(messages, 10, "ann", "bob", &both);
    say(messages, UINT64_MAX - 1, NULL, "bob", &both);
    say(messages, 20, "ann", "cid", &both);
    struct kj_messages_page *page = mail(messages, "bob", 0, 2);
    assert_true(page->has_more);
    assert_string_equal(page->items[0].from, "ann");
    assert_string_equal(page->items[0].user, "bob");
    assert_null(page->items[0].room);
    assert_int_equal(page->items[0].op, 7);
    assert_int_equal(page->items[0].time_ms, now_ms);
    assert_true(page->items[0].body_is_json);
    assert_int_equal(page->items[0].body_len, 2);
    assert_memory_equal(page->items[0].body, "30", 2);
    int64_t after = page->items[1].number;
    CHECK(page, 30, 10);
    page = mail(messages, "bob", after, 2);
    assert_false(page->has_more);
    assert_string_equal(page->items[0].from, "");
    CHECK(page, UINT64_MAX - 1);
    size_t count;
    assert_int_equal(kj_messages_unread(messages, "bob", after, &count), KJ_OK);
    assert_int_equal(count, 2);
    assert_int_equal(unread(messages, "bob"), 3);
    assert_int_equal(unread(messages, "nobody"), 0);
    close_store(messages);
}

static void a_page_ends_at_its_bytes_but_has_one_message(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    for (uint64_t id = 10; id < 15; id++) {
        say(messages, id, "ann", "bob", &both);
    }
    struct kj_messages_page *page;
    assert_int_equal(kj_messages_mailbox(messages, "bob", 0, PAGE, 5, &page), KJ_OK);
    assert_true(page->has_more);
    CHECK(page, 10, 11);
    assert_int_equal(kj_messages_mailbox(messages, "bob", 0, PAGE, 1, &page), KJ_OK);
    assert_true(page->has_more);
    CHECK(page, 10);
    close_store(messages);
}

static void what_is_acknowledged_is_out_of_the_mailbox(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    for (uint64_t id = 1; id <= 5; id++) {
        say(messages, id, id == 2 ? "cid" : "ann", "bob", &both);
    }
    struct kj_messages_page *removed;
    const uint64_t ids[] = {2, 4, 99};
    assert_int_equal(kj_messages_acknowledge(messages, "cid", ids, 3, &removed), KJ_OK);
    assert_int_equal(removed->count, 0);
    kj_messages_page_free(removed);
    assert_int_equal(kj_messages_acknowledge(messages, "bob", ids, 3, &removed), KJ_OK);
    assert_string_equal(removed->items[0].from, "cid");
    CHECK(removed, 2, 4);
    assert_int_equal(kj_messages_acknowledge(messages, "bob", ids, 3, NULL), KJ_OK);
    CHECK(mail(messages, "bob", 0, PAGE), 1, 3, 5);
    size_t count;
    assert_int_equal(kj_messages_acknowledge_until(messages, "bob", 3, &count), KJ_OK);
    assert_int_equal(count, 2);
    CHECK(mail(messages, "bob", 0, PAGE), 5);
    assert_int_equal(counter(messages, "messages_acknowledged_total"), 4);
    CHECK(history(messages, "ann", "bob", 0, 0, PAGE), 1, 3, 4, 5);
    close_store(messages);
}

static void what_is_too_old_makes_room_in_a_full_store(void **state)
{
    (void)state;
    enum { LEN = 60000, AGE_MS = 10000 };
    struct kj_messages *messages = open_with((struct kj_messages_options){
        .max_bytes = 1 << 20, .mailbox_age_s = AGE_MS / 1000, .history_age_s = AGE_MS / 1000});
    struct kj_messages_receipt receipt;
    struct kj_message message = {
        .user = "bob", .from = "ann", .body = calloc(1, LEN), .body_len = LEN};
    for (size_t i = 0; i < 2; i++) {
        enum kj_status status = KJ_OK;
        while (!status) {
            message.id++;
            message.time_ms = now_ms;
            assert_true(message.id < 100);
            status = kj_messages_append(messages, &message, &both, &receipt);
        }
        assert_int_equal(status, KJ_EFULL);
        now_ms += AGE_MS + 1;
        assert_int_equal(kj_messages_append(messages, &message, &both, &receipt), KJ_OK);
    }
    assert_true(counter(messages, "messages_expired_total") > 0);
    assert_true(counter(messages, "messages_history_removed_total") > 0);
    free((void *)message.body);
    close_store(messages);
}

static void a_full_mailbox_drops_the_oldest_and_counts(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with(
        (struct kj_messages_options){.mailbox_count = 3, .mailbox_bytes = 8});
    for (uint64_t id = 10; id < 14; id++) {
        say(messages, id, "ann", "bob", &both);
    }
    say(messages, 50, "ann", "cid", &both);
    CHECK(mail(messages, "bob", 0, PAGE), 11, 12, 13);
    assert_int_equal(counter(messages, "messages_dropped_total"), 1);
    say(messages, 1000000, "ann", "bob", &both); /* seven bytes */
    CHECK(mail(messages, "bob", 0, PAGE), 1000000);
    assert_int_equal(counter(messages, "messages_dropped_total"), 4);
    struct kj_messages_receipt receipt;
    struct kj_message large = {.id = 77,
                               .user = "bob",
                               .from = "ann",
                               .body = (const uint8_t *)"123456789",
                               .body_len = 9};
    assert_int_equal(kj_messages_append(messages, &large, &both, &receipt), KJ_ELIMIT);
    CHECK(mail(messages, "cid", 0, PAGE), 50);
    close_store(messages);
}

static void what_is_too_old_is_neither_shown_nor_kept(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with(
        (struct kj_messages_options){.mailbox_age_s = 10, .history_age_s = 20});
    say(messages, 1, "ann", "bob", &both);
    now_ms += 10001;
    say(messages, 2, "ann", "cid", &both);
    assert_int_equal(unread(messages, "bob"), 0);
    struct kj_messages_page *page = mail(messages, "bob", 0, PAGE);
    assert_int_equal(page->count, 0);
    kj_messages_page_free(page);
    CHECK(history(messages, "bob", "ann", 0, 0, PAGE), 1);
    assert_int_equal(counter(messages, "messages_expired_total"), 1);
    now_ms += 10001;
    page = history(messages, "bob", "ann", 0, 0, PAGE);
    assert_int_equal(page->count, 0);
    kj_messages_page_free(page);
    say(messages, 3, "ann", "cid", &both);
    assert_int_equal(counter(messages, "messages_history_removed_total"), 1);
    close_store(messages);
}

/* A clock that was set back, or that of another node. */
static void what_is_of_the_future_does_not_keep_what_is_too_old(void **state)
{
    enum { AGE_S = 20, AHEAD = 20 };
    (void)state;
    struct kj_messages *messages = open_with(
        (struct kj_messages_options){.history_age_s = AGE_S, .key_age_s = AGE_S});
    const struct kj_messages_append keyed = {.to_history = true, .key = "key"};
    int64_t present_ms = now_ms;
    now_ms += 1000000000;
    for (uint64_t id = 1; id <= AHEAD; id++) {
        say(messages, id, "ann", "bob", &both);
    }
    now_ms = present_ms;
    say(messages, 100, "ann", "bob", &keyed);
    now_ms += AGE_S * 1000 + 1;
    assert_int_equal(counter(messages, "messages_history_removed_total"), 0);
    say(messages, 101, "ann", "cid", &both);
    assert_int_equal(counter(messages, "messages_history_removed_total"), 1);
    assert_int_equal(say(messages, 102, "ann", "bob", &keyed).state, KJ_MESSAGE_NEW);
    now_ms = present_ms + 1000000000 + AGE_S * 1000 + 1;
    for (uint64_t id = 200; id < 203; id++) {
        say(messages, id, "ann", "cid", &both);
    }
    assert_true(counter(messages, "messages_history_removed_total") >= AHEAD);
    now_ms = present_ms;
    close_store(messages);
}

static void a_message_may_wait_for_less_time_than_others(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with((struct kj_messages_options){.mailbox_age_s = 10});
    const struct kj_messages_append brief = {.to_mailbox = true, .ttl_s = 2};
    const struct kj_messages_append endless = {.to_mailbox = true, .ttl_s = UINT32_MAX};
    say(messages, 1, "ann", "bob", &both);
    say(messages, 2, "ann", "bob", &brief);
    say(messages, 3, "ann", "bob", &endless);
    now_ms += 2001;
    CHECK(mail(messages, "bob", 0, PAGE), 1, 3);
    assert_int_equal(unread(messages, "bob"), 2);
    say(messages, 4, "ann", "cid", &both);
    assert_int_equal(counter(messages, "messages_expired_total"), 1);
    now_ms += 8000;
    assert_int_equal(unread(messages, "bob"), 0);
    close_store(messages);
}

/* ---- once ---- */

static void a_message_is_kept_once(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    assert_int_equal(say(messages, 1, "ann", "bob", &both).state, KJ_MESSAGE_NEW);
    assert_int_equal(say(messages, 1, "ann", "bob", &both).state, KJ_MESSAGE_WAITING);
    CHECK(mail(messages, "bob", 0, PAGE), 1);
    CHECK(history(messages, "ann", "bob", 0, 0, PAGE), 1);
    assert_int_equal(counter(messages, "messages_repeated_total"), 1);
    close_store(messages);
}

static void a_sender_uses_a_key_once(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with(
        (struct kj_messages_options){.mailbox_count = 2, .key_age_s = 60});
    const struct kj_messages_append k1 = {.to_mailbox = true, .key = "k1"};
    const struct kj_messages_append k2 = {.to_mailbox = true, .key = "k2"};
    assert_int_equal(say(messages, 1, "ann", "bob", &k1).state, KJ_MESSAGE_NEW);
    assert_int_equal(say(messages, 2, "cid", "bob", &k1).state, KJ_MESSAGE_NEW);
    struct kj_messages_receipt receipt = say(messages, 3, "ann", "bob", &k1);
    assert_int_equal(receipt.id, 1);
    assert_int_equal(receipt.state, KJ_MESSAGE_WAITING);
    CHECK(mail(messages, "bob", 0, PAGE), 1, 2);
    assert_int_equal(kj_messages_acknowledge_until(messages, "bob", 1, NULL), KJ_OK);
    assert_int_equal(say(messages, 4, "ann", "bob", &k1).state, KJ_MESSAGE_DELIVERED);
    const uint64_t two = 2;
    assert_int_equal(kj_messages_acknowledge(messages, "bob", &two, 1, NULL), KJ_OK);
    assert_int_equal(say(messages, 4, "cid", "bob", &k1).state, KJ_MESSAGE_DELIVERED);
    assert_int_equal(say(messages, 5, "ann", "bob", &k2).state, KJ_MESSAGE_NEW);
    say(messages, 6, "cid", "bob", &both);
    say(messages, 7, "cid", "bob", &both);
    assert_int_equal(say(messages, 8, "ann", "bob", &k2).state, KJ_MESSAGE_DROPPED);
    now_ms += 60001;
    assert_int_equal(say(messages, 9, "ann", "bob", &k2).state, KJ_MESSAGE_NEW);
    /* Nobody in particular has no keys. */
    assert_int_equal(say(messages, 10, "", "bob", &k1).state, KJ_MESSAGE_NEW);
    assert_int_equal(say(messages, 11, "", "bob", &k1).state, KJ_MESSAGE_NEW);
    close_store(messages);
}

static void the_number_of_keys_is_bounded(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with((struct kj_messages_options){.key_count = 2});
    const struct kj_messages_append keys[] = {{.to_mailbox = true, .key = "a"},
                                              {.to_mailbox = true, .key = "b"},
                                              {.to_mailbox = true, .key = "c"}};
    for (uint64_t i = 0; i < 3; i++) {
        say(messages, i + 1, "ann", "bob", &keys[i]);
    }
    assert_int_equal(say(messages, 4, "ann", "bob", &keys[2]).id, 3);
    assert_int_equal(say(messages, 5, "ann", "bob", &keys[1]).id, 2);
    assert_int_equal(say(messages, 6, "ann", "bob", &keys[0]).state, KJ_MESSAGE_NEW);
    close_store(messages);
}

/* ---- histories ---- */

static void a_conversation_has_both_directions(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    say(messages, 1, "ann", "bob", &both);
    say(messages, 2, "bob", "ann", &both);
    say(messages, 3, "ann", "cid", &both);
    say(messages, 4, "", "bob", &both);
    struct kj_messages_page *page = history(messages, "bob", "ann", 0, 0, PAGE);
    assert_string_equal(page->items[0].from, "ann");
    assert_string_equal(page->items[0].user, "bob");
    assert_string_equal(page->items[1].from, "bob");
    assert_string_equal(page->items[1].user, "ann");
    CHECK(page, 1, 2);
    CHECK(history(messages, "ann", "cid", 0, 0, PAGE), 3);
    CHECK(history(messages, "bob", "", 0, 0, PAGE), 4);
    close_store(messages);
}

static void a_history_is_paged_both_ways(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    for (uint64_t i = 0; i < 10; i++) { /* not in the order of their IDs */
        say(messages, 10 + i * 7 % 10, "ann", "bob", &both);
    }
    struct kj_messages_page *page = history(messages, "ann", "bob", 0, 0, 3);
    assert_true(page->has_more);
    CHECK(page, 17, 18, 19);
    page = history(messages, "ann", "bob", 13, 0, 3);
    assert_false(page->has_more);
    CHECK(page, 10, 11, 12);
    page = history(messages, "ann", "bob", 0, 9, 3);
    assert_true(page->has_more);
    CHECK(page, 10, 11, 12);
    page = history(messages, "ann", "bob", 0, 16, 3);
    assert_false(page->has_more);
    CHECK(page, 17, 18, 19);
    page = history(messages, "ann", "bob", 1000, 0, 2);
    CHECK(page, 18, 19);
    page = history(messages, "ann", "bob", 0, 1000, 2);
    assert_int_equal(page->count, 0);
    kj_messages_page_free(page);
    close_store(messages);
}

static void a_room_keeps_its_latest(void **state)
{
    (void)state;
    struct kj_messages *messages = open_with((struct kj_messages_options){.history_count = 3});
    for (uint64_t id = 1; id <= 5; id++) {
        say_in_room(messages, id, "r");
        say_in_room(messages, 100 + id, "ur");
    }
    struct kj_messages_page *page;
    struct kj_history_query query = {
        .conversation = {.room = "r"}, .max = PAGE, .max_bytes = BYTES};
    assert_int_equal(kj_messages_history(messages, &query, &page), KJ_OK);
    assert_string_equal(page->items[0].room, "r");
    assert_null(page->items[0].user);
    assert_false(page->items[0].body_is_json);
    assert_int_equal(page->items[0].body_len, 2);
    assert_memory_equal(page->items[0].body, "\0x", 2);
    CHECK(page, 3, 4, 5);
    assert_int_equal(counter(messages, "messages_history_removed_total"), 4);
    close_store(messages);
}

/* ---- what is refused ---- */

static void what_is_out_of_bounds_is_refused(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    char name[KJ_MESSAGE_NAME_MAX + 2];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct kj_messages_receipt receipt;
    struct kj_messages_page *page;
    size_t count;
    struct kj_message message = {.id = 1, .user = name, .from = "ann"};
    assert_int_equal(kj_messages_append(messages, &message, &both, &receipt), KJ_EINVAL);
    message.user = NULL;
    assert_int_equal(kj_messages_append(messages, &message, &both, &receipt), KJ_EINVAL);
    message.user = "bob";
    message.from = name;
    assert_int_equal(kj_messages_append(messages, &message, &both, &receipt), KJ_EINVAL);
    message.from = "ann";
    message.id = 0;
    assert_int_equal(kj_messages_append(messages, &message, &both, &receipt), KJ_EINVAL);
    message.id = 1;
    message.body = (const uint8_t *)name;
    message.body_len = KJ_MESSAGE_BODY_MAX + 1;
    assert_int_equal(kj_messages_append(messages, &message, &both, &receipt), KJ_ELIMIT);
    assert_int_equal(kj_messages_mailbox(messages, name, 0, 1, 1, &page), KJ_EINVAL);
    assert_int_equal(kj_messages_mailbox(messages, "", 0, 1, 1, &page), KJ_EINVAL);
    assert_int_equal(kj_messages_mailbox(messages, "bob", 0, 0, 1, &page), KJ_EINVAL);
    assert_int_equal(kj_messages_mailbox(messages, "bob", 0, KJ_MESSAGES_PAGE_MAX + 1, 1, &page),
                     KJ_EINVAL);
    assert_int_equal(kj_messages_mailbox(messages, "bob", 0, 1, 0, &page), KJ_EINVAL);
    assert_int_equal(kj_messages_unread(messages, "", 0, &count), KJ_EINVAL);
    assert_int_equal(
        kj_messages_acknowledge(messages, "bob", &message.id, KJ_MESSAGES_PAGE_MAX + 1, NULL),
        KJ_ELIMIT);
    assert_int_equal(kj_messages_acknowledge_until(messages, "bob", 0, NULL), KJ_EINVAL);
    const struct kj_history_query two = {
        .conversation = {.room = "r"}, .before = 1, .after = 1, .max = 1, .max_bytes = 1};
    assert_int_equal(kj_messages_history(messages, &two, &page), KJ_EINVAL);
    const struct kj_history_query nobody = {
        .conversation = {.users = {"", ""}}, .max = 1, .max_bytes = 1};
    assert_int_equal(kj_messages_history(messages, &nobody, &page), KJ_EINVAL);
    assert_int_equal(unread(messages, "bob"), 0);
    close_store(messages);
}

/* ---- threads ---- */

enum { THREADS = 4, EACH = 50 };

struct sender {
    struct kj_messages *messages;
    uint64_t first;
};

static void *send_all(void *argument)
{
    struct sender *sender = argument;
    for (uint64_t i = 0; i < EACH; i++) {
        say(sender->messages, sender->first + i, "ann", "bob", &both);
        assert_true(unread(sender->messages, "bob") >= i + 1);
    }
    return NULL;
}

static void threads_share_commits_and_lose_nothing(void **state)
{
    (void)state;
    struct kj_messages *messages = open_default();
    pthread_t threads[THREADS];
    struct sender senders[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){messages, 1 + i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(unread(messages, "bob"), THREADS * EACH);
    struct kj_messages_page *page = history(messages, "ann", "bob", 0, 0, KJ_MESSAGES_PAGE_MAX);
    for (size_t i = 0; i < page->count; i++) {
        assert_int_equal(page->items[i].id, i + 1);
    }
    assert_int_equal(page->count, THREADS * EACH);
    kj_messages_page_free(page);
#ifdef MESSAGES_FILE
    assert_true(counter(messages, "messages_commits_total") < THREADS * EACH);
#endif
    close_store(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mailbox_gives_what_came_in_the_order_it_came),
        cmocka_unit_test(a_page_ends_at_its_bytes_but_has_one_message),
        cmocka_unit_test(what_is_acknowledged_is_out_of_the_mailbox),
        cmocka_unit_test(what_is_too_old_makes_room_in_a_full_store),
        cmocka_unit_test(a_full_mailbox_drops_the_oldest_and_counts),
        cmocka_unit_test(what_is_too_old_is_neither_shown_nor_kept),
        cmocka_unit_test(what_is_of_the_future_does_not_keep_what_is_too_old),
        cmocka_unit_test(a_message_may_wait_for_less_time_than_others),
        cmocka_unit_test(a_message_is_kept_once),
        cmocka_unit_test(a_sender_uses_a_key_once),
        cmocka_unit_test(the_number_of_keys_is_bounded),
        cmocka_unit_test(a_conversation_has_both_directions),
        cmocka_unit_test(a_history_is_paged_both_ways),
        cmocka_unit_test(a_room_keeps_its_latest),
        cmocka_unit_test(what_is_out_of_bounds_is_refused),
        cmocka_unit_test(threads_share_commits_and_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
