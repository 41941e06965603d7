/* audience_test.c - frames for many, on a real shard: what each peer reads, byte for byte. */
#include "audience_fixture.h"
#include "delivery/gather.h"
#include "pairs.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

/* Every test runs with each way to the sockets that there is. */
static enum kj_io fixture_io;

static int set_up(void **state)
{
    *state = fixture_new(fixture_io);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static void count_members(struct call *call)
{
    atomic_store(&call->fixture->seated, (int)call->fixture->audiences[0].count);
}

/* Once all that was posted before has run. */
static void expect_members(struct fixture *fixture, int wanted)
{
    post_and_wait(fixture, (struct call){.run = count_members});
    assert_int_equal(fixture->seated, wanted);
}

static void one_frame_reaches_every_member(void **state)
{
    struct fixture *fixture = *state;
    struct reader readers[20];
    write_script(fixture, 1, mixed_sizes);
    join_readers(fixture, readers, 20, 0);
    publish(fixture, 0, 1);
    read_slices(fixture, readers, 20, READ_MAX);
    assert_int_equal(fixture->counters.events_queued, 20);
    close_readers(readers, 20);
}

static void a_burst_of_all_sizes_reaches_300_members_in_order(void **state)
{
    struct fixture *fixture = *state;
    static struct reader readers[300];
    write_script(fixture, 3000, mixed_sizes);
    join_readers(fixture, readers, 300, 0);
    publish(fixture, 0, 3000);
    read_slices(fixture, readers, 300, READ_MAX);
    assert_int_equal(fixture->counters.events_queued, 300 * 3000);
    close_readers(readers, 300);
}

static void members_that_read_in_small_bits_get_everything(void **state)
{
    struct fixture *fixture = *state;
    struct reader readers[30];
    write_script(fixture, 600, mixed_sizes);
    join_readers(fixture, readers, 30, SMALL_BUFFER);
    publish(fixture, 0, 600);
    read_slices(fixture, readers, 30, 1777);
    close_readers(readers, 30);
}

/* ---- what is under way together ---- */

static _Atomic bool is_gathering;
static _Atomic uint32_t gathered;

/* Appends a frame where two were under way before, and gathers. */
static void gather_after_two(struct call *call)
{
    struct kj__audience *audience = &call->fixture->audiences[0];
    append(call);
    audience->carried = 2;
    audience->shard->flush_ns = 1000 * (int64_t)KJ__GATHER_WAIT_MAX_NS;
    atomic_store(&is_gathering, true);
    kj__gather(audience->shard);
    atomic_store(&gathered, audience->end - audience->begin);
}

/* It is posted when whoever looks only once has looked. The wait is short, and this thread may come
 * too late for one. */
static void a_frame_posted_while_it_is_waited_for_goes_out_with_the_one_before(void **state)
{
    enum { MEMBERS = 150, ATTEMPTS = 50 };
    struct fixture *fixture = *state;
    static struct reader readers[MEMBERS];
    size_t used = 0;
    write_script(fixture, 2 * ATTEMPTS, medium_sizes);
    join_readers(fixture, readers, MEMBERS, 0);
    atomic_store(&gathered, 0);
    for (int i = 0; i < ATTEMPTS && gathered != 2; i++, used += 2) {
        _Atomic int done = 0;
        atomic_store(&is_gathering, false);
        post(fixture,
             (struct call){.run = gather_after_two, .from = used, .to = used + 1, .done = &done});
        while (!is_gathering) {
            sched_yield();
        }
        nanosleep(&(struct timespec){.tv_nsec = KJ__GATHER_WAIT_MAX_NS / 10}, NULL);
        post_and_wait(fixture, (struct call){.run = append, .from = used + 1, .to = used + 2});
        while (!done) {
            sched_yield();
        }
        for (size_t r = 0; r < MEMBERS; r++) {
            readers[r].end = fixture->script.offsets[used + 2];
        }
        read_streams(fixture, readers, MEMBERS, READ_MAX);
    }
    assert_int_equal(gathered, 2);
    read_slices(fixture, readers, MEMBERS, READ_MAX);
    close_readers(readers, MEMBERS);
}

/* ---- members that do not keep up ---- */

/* Half of the members read nothing while frames are published; then they read what there is. */
static void some_stall(struct fixture *fixture, enum kj_queue_policy policy)
{
    enum { READERS = 10, STALLED = 10, FRAMES = 2000 };
    struct reader readers[READERS];
    int stalled[STALLED];
    struct heap heaps[STALLED] = {{0}};
    fixture->bounded.queue_policy = policy;
    write_script(fixture, FRAMES, medium_sizes);
    for (int i = 0; i < STALLED; i++) {
        join_readers(fixture, &readers[i], 1, SMALL_BUFFER);
        stalled[i] = join_one(fixture, &fixture->bounded, SMALL_BUFFER);
    }
    publish(fixture, 0, FRAMES);
    read_slices(fixture, readers, READERS, 10000);
    uint64_t controls = READERS + (policy == KJ_QUEUE_DISCONNECT ? STALLED : 0);
    for (int waited = 0; !is_settled(fixture, controls); waited++) {
        bool has_read = false;
        for (int i = 0; i < STALLED; i++) {
            has_read |= read_into_heap(stalled[i], &heaps[i]);
        }
        waited = has_read ? 0 : waited;
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, has_read ? 0 : 1);
    }
    size_t received = 0;
    for (int i = 0; i < STALLED; i++) {
        while (read_into_heap(stalled[i], &heaps[i])) {
        }
        struct contents contents = check_heap(fixture, &heaps[i], 1);
        assert_in_range(contents.data, 1, FRAMES - 1);
        assert_int_equal(contents.close_code, policy == KJ_QUEUE_DISCONNECT ? 1008 : 0);
        assert_int_equal(ends_with(&heaps[i], fixture->script.frames[FRAMES - 1]),
                         policy == KJ_QUEUE_DROP_OLDEST);
        received += contents.data;
        free(heaps[i].bytes);
        close(stalled[i]);
    }
    close_readers(readers, READERS);
    const struct kj__counters *counters = &fixture->counters;
    if (policy != KJ_QUEUE_DISCONNECT) {
        assert_int_equal(counters->dropped_queue_full, FRAMES * STALLED - received);
        assert_int_equal(counters->dropped_closing, 0);
    } else {
        assert_int_equal(counters->closed_queue_full, STALLED);
        assert_int_equal(counters->dropped_queue_full, STALLED);
        assert_int_equal(counters->events_queued, FRAMES * READERS + received +
                                                      counters->dropped_queue_full +
                                                      counters->dropped_closing);
    }
}

static void the_stalled_lose_the_newest_and_hold_up_nobody(void **state)
{
    some_stall(*state, KJ_QUEUE_DROP_NEWEST);
}

static void the_stalled_lose_the_oldest_and_hold_up_nobody(void **state)
{
    some_stall(*state, KJ_QUEUE_DROP_OLDEST);
}

static void the_stalled_are_disconnected_and_hold_up_nobody(void **state)
{
    some_stall(*state, KJ_QUEUE_DISCONNECT);
}

/* Members with a small queue read too slowly for what is published, and are told. */
static void some_are_slow(struct fixture *fixture, enum kj_queue_policy policy)
{
    enum { SLOW = 6, FRAMES = 6000 };
    int fds[SLOW];
    struct heap heaps[SLOW] = {{0}};
    fixture->tells = true;
    fixture->bounded.queue_policy = policy;
    fixture->bounded.queue_bytes = 20000;
    write_script(fixture, FRAMES, medium_sizes);
    for (int i = 0; i < SLOW; i++) {
        fds[i] = join_one(fixture, &fixture->bounded, SMALL_BUFFER);
    }
    for (size_t at = 0; at < FRAMES; at += 12) {
        post_and_wait(fixture, (struct call){.run = append, .from = at, .to = at + 12});
        for (int i = 0; i < SLOW; i++) {
            struct pollfd readable = {.fd = fds[i], .events = POLLIN};
            /* Now and then until its queue is empty, about. */
            while (read_into_heap(fds[i], &heaps[i]) && at % 600 == 0 && poll(&readable, 1, 5)) {
            }
        }
    }
    for (int i = 0; i < SLOW; i++) {
        struct contents contents;
        do {
            struct pollfd readable = {.fd = fds[i], .events = POLLIN};
            assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
            assert_true(read_into_heap(fds[i], &heaps[i]));
            contents = has_whole_frames(&heaps[i]) ? check_heap(fixture, &heaps[i], 1)
                                                   : (struct contents){0};
        } while (contents.data + contents.told < FRAMES);
        assert_int_equal(contents.data + contents.told, FRAMES);
        assert_true(contents.told > 0);
        assert_true(contents.is_told_in_gap || policy != KJ_QUEUE_DROP_NEWEST);
        free(heaps[i].bytes);
        close(fds[i]);
    }
    assert_true(fixture->notices > SLOW); /* there were gaps between gaps */
}

static void the_slow_are_told_of_each_gap_where_it_is(void **state)
{
    some_are_slow(*state, KJ_QUEUE_DROP_NEWEST);
}

static void the_slow_are_told_how_many_of_the_oldest_are_gone(void **state)
{
    some_are_slow(*state, KJ_QUEUE_DROP_OLDEST);
}

static void leave(struct call *call)
{
    kj__seat_leave(&call->member->seats[0]);
    kj__seat_leave(&call->member->seats[0]); /* the second time it is nothing */
}

static void members_that_come_and_go_get_what_lies_between(void **state)
{
    enum { ROUNDS = 60, STEP = 20, STAY = 10 };
    struct fixture *fixture = *state;
    static struct reader readers[ROUNDS];
    struct member *members[ROUNDS];
    const size_t *offsets = fixture->script.offsets;
    write_script(fixture, (size_t)ROUNDS * STEP, mixed_sizes);
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t last = i + STAY < ROUNDS ? i + STAY : ROUNDS;
        members[i] = join(fixture, &fixture->patient, 1, i % 3 ? SMALL_BUFFER : 0, &readers[i].fd);
        readers[i].at = offsets[i * STEP];
        readers[i].end = offsets[last * STEP];
        publish(fixture, i * STEP, (i + 1) * STEP);
        if (i + 1 >= STAY) {
            post(fixture, (struct call){.run = leave, .member = members[i + 1 - STAY]});
        }
    }
    read_slices(fixture, readers, ROUNDS, READ_MAX);
    for (size_t i = 0; i < ROUNDS; i++) {
        kj__connection_unref(&members[i]->connection);
    }
    close_readers(readers, ROUNDS);
}

static void members_that_vanish_take_nothing_from_the_others(void **state)
{
    enum { READERS = 40, VANISHING = 200 };
    struct fixture *fixture = *state;
    struct reader readers[READERS];
    int vanishing[VANISHING];
    write_script(fixture, 1000, mixed_sizes);
    for (size_t i = 0; i < VANISHING; i++) {
        vanishing[i] = join_one(fixture, &fixture->patient, SMALL_BUFFER);
        if (i % 5 == 0) {
            join_readers(fixture, &readers[i / 5], 1, 0);
        }
    }
    for (size_t i = 0; i < VANISHING; i++) {
        publish(fixture, i * 5, i * 5 + 5);
        close(vanishing[i * 7 % VANISHING]); /* with data unread: the next send meets a reset */
    }
    read_slices(fixture, readers, READERS, READ_MAX);
    wait_for(&fixture->released, VANISHING);
    expect_members(fixture, READERS);
    close_readers(readers, READERS);
    wait_for(&fixture->released, VANISHING + READERS);
    assert_int_equal(fixture->counters.dropped_queue_full, 0);
    wait_until_settled(fixture, READERS);
}

static void the_last_member_may_vanish_in_a_flush(void **state)
{
    struct fixture *fixture = *state;
    write_script(fixture, 800, mixed_sizes);
    for (int i = 0; i < 40; i++) {
        size_t from = (size_t)i * 20;
        int released = i * 2 + 1;
        int gone = join_one(fixture, &fixture->patient, i % 2 ? SMALL_BUFFER : 0);
        publish(fixture, from, from + 10);
        close(gone);
        publish(fixture, from + 10, from + 15);
        wait_for(&fixture->released, released);
        expect_members(fixture, 0);
        struct reader reader = {.fd = join_one(fixture, &fixture->patient, 0),
                                .at = fixture->script.offsets[from + 15],
                                .end = fixture->script.offsets[from + 20]};
        publish(fixture, from + 15, from + 20);
        read_slices(fixture, &reader, 1, READ_MAX);
        close(reader.fd);
        wait_for(&fixture->released, released + 1);
    }
}

static void send_to_one(struct call *call)
{
    kj__connection_send(&call->member->connection, call->fixture->script.frames[call->from]);
}

/* Every third frame goes to the member alone. */
static void append_and_send(struct call *call)
{
    struct fixture *fixture = call->fixture;
    for (size_t i = call->from; i < call->to; i++) {
        if (i % 3 == 0) {
            kj__connection_send(&call->member->connection, fixture->script.frames[i]);
        } else {
            assert_true(kj__audience_append(&fixture->audiences[0], fixture->script.frames[i]));
        }
    }
}

static void frames_for_one_stay_in_order_with_frames_for_all(void **state)
{
    struct fixture *fixture = *state;
    write_script(fixture, 2000, mixed_sizes);
    for (int small = 0; small < 2; small++) {
        struct reader reader = {.end = fixture->script.offsets[2000]};
        struct member *member = join(fixture, &fixture->patient, 1, small ? SMALL_BUFFER : 0,
                                     &reader.fd);
        for (size_t i = 0; i < 2000; i += 8) {
            post(fixture,
                 (struct call){.run = append_and_send, .member = member, .from = i, .to = i + 8});
        }
        read_slices(fixture, &reader, 1, 5000);
        kj__connection_unref(&member->connection);
        close(reader.fd);
    }
}

static void control_frames_split_no_frame(void **state)
{
    struct fixture *fixture = *state;
    struct heap heap = {0};
    int fd;
    write_script(fixture, 302, medium_sizes);
    struct member *member = join(fixture, &fixture->patient, 1, SMALL_BUFFER, &fd);
    for (size_t i = 0; i < 300; i++) {
        publish(fixture, i, i + 1);
        send_frame(fd, 0x89, "ping", 4);
        while (i % 7 == 0 && read_into_heap(fd, &heap)) {
        }
    }
    for (int waited = 0; fixture->counters.frames_in < 300; waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
    publish(fixture, 300, 301);
    read_until(fd, &heap, fixture->script.frames[300]);
    struct contents contents = check_heap(fixture, &heap, 1);
    assert_int_equal(contents.data, 301);
    assert_in_range(contents.pongs, 32, 300); /* beyond so many waiting none is added */
    kj__connection_unref(&member->connection);
    free(heap.bytes);
    close(fd);
}

static void a_close_splits_no_frame(void **state)
{
    struct fixture *fixture = *state;
    write_script(fixture, 40, medium_sizes);
    for (int i = 0; i < 20; i++) {
        struct heap heap = {0};
        int fd;
        struct member *member = join(fixture, &fixture->patient, 1, SMALL_BUFFER, &fd);
        publish(fixture, 0, (size_t)i * 2);
        kj__connection_close_later(&member->connection, KJ__CLOSE_POLICY, NULL, KJ__CAUSE_SERVER);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        do {
            assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
        } while (read_into_heap(fd, &heap));
        assert_int_equal(check_heap(fixture, &heap, 1).close_code, KJ__CLOSE_POLICY);
        close(fd);
        kj__connection_unref(&member->connection);
        free(heap.bytes);
        wait_for(&fixture->released, i + 1);
    }
    wait_until_settled(fixture, 20);
}

static void a_member_of_two_audiences_gets_each_one_s_frames_in_order(void **state)
{
    enum { MEMBERS = 6, FRAMES = 1000 };
    struct fixture *fixture = *state;
    struct member *members[MEMBERS];
    struct heap heaps[MEMBERS] = {{0}};
    int fds[MEMBERS];
    write_script(fixture, FRAMES + 1, medium_sizes);
    for (int i = 0; i < MEMBERS; i++) {
        members[i] = join(fixture, &fixture->patient, 3, i % 2 ? SMALL_BUFFER : 0, &fds[i]);
    }
    for (size_t i = 0; i < FRAMES; i++) {
        post(fixture, (struct call){.run = append, .audience = i % 2, .from = i, .to = i + 1});
    }
    for (int i = 0; i < MEMBERS; i++) { /* behind all that either audience has for it */
        post(fixture, (struct call){.run = send_to_one, .member = members[i], .from = FRAMES});
    }
    for (int i = 0; i < MEMBERS; i++) {
        read_until(fds[i], &heaps[i], fixture->script.frames[FRAMES]);
        assert_int_equal(check_heap(fixture, &heaps[i], 2).data, FRAMES + 1);
        kj__connection_unref(&members[i]->connection);
        free(heaps[i].bytes);
        close(fds[i]);
    }
}

static void *stop(void *argument)
{
    kj__delivery_stop(((struct fixture *)argument)->delivery, DEADLINE_MS);
    return NULL;
}

static void stopping_sends_everything_first(void **state)
{
    enum { READERS = 60, FRAMES = 700 };
    struct fixture *fixture = *state;
    struct reader readers[READERS];
    pthread_t stopper;
    write_script(fixture, FRAMES, mixed_sizes);
    for (size_t i = 0; i < READERS; i++) {
        join_readers(fixture, &readers[i], 1, i % 2 ? SMALL_BUFFER : 0);
    }
    publish(fixture, 0, FRAMES);
    assert_int_equal(pthread_create(&stopper, NULL, stop, fixture), 0);
    read_streams(fixture, readers, READERS, READ_MAX);
    for (size_t i = 0; i < READERS; i++) {
        expect_bytes(readers[i].fd, "\x88\x02\x03\xe9", 4);
        expect_end(readers[i].fd);
        close(readers[i].fd);
    }
    pthread_join(stopper, NULL);
    assert_int_equal(fixture->released, READERS);
    assert_int_equal(fixture->counters.closed_by_server, READERS);
    assert_true(is_settled(fixture, READERS));
}

/* The log's positions are about to come round. */
static void advance(struct call *call)
{
    struct kj__audience *audience = &call->fixture->audiences[0];
    audience->begin = audience->end = UINT32_MAX - 100;
}

static void positions_may_wrap_around(void **state)
{
    struct fixture *fixture = *state;
    struct reader readers[4];
    write_script(fixture, 400, mixed_sizes);
    post_and_wait(fixture, (struct call){.run = advance});
    join_readers(fixture, readers, 2, 0);
    join_readers(fixture, readers + 2, 2, SMALL_BUFFER);
    publish(fixture, 0, 400);
    read_slices(fixture, readers, 4, READ_MAX);
    assert_in_range(fixture->audiences[0].end, 299 - 100, 400);
    close_readers(readers, 4);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(one_frame_reaches_every_member),
        WITH_FIXTURE(a_burst_of_all_sizes_reaches_300_members_in_order),
        WITH_FIXTURE(a_frame_posted_while_it_is_waited_for_goes_out_with_the_one_before),
        WITH_FIXTURE(members_that_read_in_small_bits_get_everything),
        WITH_FIXTURE(the_stalled_lose_the_newest_and_hold_up_nobody),
        WITH_FIXTURE(the_stalled_lose_the_oldest_and_hold_up_nobody),
        WITH_FIXTURE(the_stalled_are_disconnected_and_hold_up_nobody),
        WITH_FIXTURE(the_slow_are_told_of_each_gap_where_it_is),
        WITH_FIXTURE(the_slow_are_told_how_many_of_the_oldest_are_gone),
        WITH_FIXTURE(members_that_come_and_go_get_what_lies_between),
        WITH_FIXTURE(members_that_vanish_take_nothing_from_the_others),
        WITH_FIXTURE(the_last_member_may_vanish_in_a_flush),
        WITH_FIXTURE(frames_for_one_stay_in_order_with_frames_for_all),
        WITH_FIXTURE(control_frames_split_no_frame),
        WITH_FIXTURE(a_close_splits_no_frame),
        WITH_FIXTURE(a_member_of_two_audiences_gets_each_one_s_frames_in_order),
        WITH_FIXTURE(stopping_sends_everything_first),
        WITH_FIXTURE(positions_may_wrap_around),
    };
    int failed = 0;
    for (int way = 0; way < count_ways(); way++) {
        fixture_io = way ? KJ_IO_URING : KJ_IO_EPOLL;
        failed += cmocka_run_group_tests_name(way ? "io_uring" : "epoll", tests, NULL, NULL);
    }
    return failed;
}
