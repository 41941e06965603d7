/* audience_fixture.c - see audience_fixture.h. */
#include "audience_fixture.h"

#include "pairs.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the protocol ---- */

static void on_open(struct kj__connection *connection)
{
    struct fixture *fixture = connection->endpoint->ctx;
    struct member *member = (struct member *)connection;
    for (size_t i = 0; i < AUDIENCES; i++) {
        if (member->wanted & 1u << i) {
            assert_true(kj__audience_seat(&fixture->audiences[i], &member->seats[i], connection));
        }
    }
    atomic_fetch_add(&fixture->opened, 1);
}

static void on_message(struct kj__connection *connection, enum kj__opcode opcode, uint8_t *data,
                       size_t len)
{
    (void)connection, (void)opcode, (void)data, (void)len;
}

static void on_dropped(struct kj__connection *connection)
{
    ((struct member *)connection)->dropped++;
}

static void on_room(struct kj__connection *connection)
{
    struct fixture *fixture = connection->endpoint->ctx;
    struct member *member = (struct member *)connection;
    uint8_t text[16] = {0}; /* and its terminator */
    if (fixture->tells) {
        (void)snprintf((char *)text, sizeof text, "%u", member->dropped);
        member->dropped = 0;
        struct kj__out_frame *notice = kj__out_frame_new(KJ__FRAME_TEXT, text, sizeof text);
        notice->is_notice = true;
        kj__connection_send_notice(connection, notice);
        kj__out_frame_unref(notice);
        atomic_fetch_add(&fixture->notices, 1);
    }
}

static void on_closed(struct kj__connection *connection, bool was_open)
{
    (void)was_open;
    assert_null(connection->seats);
    atomic_fetch_add(&((struct fixture *)connection->endpoint->ctx)->closed, 1);
}

static void release(struct kj__connection *connection)
{
    atomic_fetch_add(&((struct fixture *)connection->endpoint->ctx)->released, 1);
    free(connection);
}

static const struct kj__protocol protocol = {.name = "test",
                                             .on_open = on_open,
                                             .on_message = on_message,
                                             .on_closed = on_closed,
                                             .on_dropped = on_dropped,
                                             .on_room = on_room,
                                             .release = release};

/* ---- the fixture ---- */

struct fixture *fixture_new(enum kj_io io)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->room = malloc(READ_MAX);
    fixture->patient = (struct kj__endpoint){.protocol = &protocol,
                                             .message_bytes = 1000,
                                             .message_fragments = 10,
                                             .queue_bytes = 1u << 30,
                                             .queue_messages = 1000000,
                                             .ping_interval_ms = 600000,
                                             .pong_timeout_ms = 600000,
                                             .write_stall_ms = 600000,
                                             .close_timeout_ms = 60000,
                                             .ctx = fixture};
    fixture->bounded = fixture->patient;
    fixture->bounded.queue_messages = 50;
    assert_int_equal(kj__delivery_new(1, io, &fixture->counters, &fixture->delivery), KJ_OK);
    for (size_t i = 0; i < AUDIENCES; i++) {
        kj__audience_init(&fixture->audiences[i], &fixture->delivery->shards[0]);
    }
    assert_int_equal(kj__delivery_start(fixture->delivery), KJ_OK);
    return fixture;
}

void fixture_free(struct fixture *fixture)
{
    kj__delivery_stop(fixture->delivery, 0);
    assert_int_equal(fixture->delivery->shards[0].logged_bytes, 0);
    for (size_t i = 0; i < AUDIENCES; i++) {
        assert_int_equal(fixture->audiences[i].count, 0);
        kj__audience_fini(&fixture->audiences[i]);
    }
    kj__delivery_free(fixture->delivery);
    for (size_t i = 0; i < fixture->script.count; i++) {
        assert_int_equal(fixture->script.frames[i]->refs, 1);
        kj__out_frame_unref(fixture->script.frames[i]);
    }
    free(fixture->script.stream);
    free(fixture->room);
    free(fixture);
}

void write_script(struct fixture *fixture, size_t count, size_t (*size_of)(size_t number))
{
    struct script *script = &fixture->script;
    assert_true(count <= FRAMES_MAX);
    script->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t size = size_of(i);
        uint8_t *payload = malloc(size);
        for (size_t at = 0; at < size; at++) {
            payload[at] = (uint8_t)(at < 4 ? i >> at * 8 : i * 31 + at * 7);
        }
        script->frames[i] = kj__out_frame_new(KJ__FRAME_BINARY, payload, size);
        script->offsets[i + 1] = script->offsets[i] + script->frames[i]->len;
        free(payload);
    }
    script->stream = malloc(script->offsets[count]);
    for (size_t i = 0; i < count; i++) {
        memcpy(script->stream + script->offsets[i], script->frames[i]->bytes,
               script->frames[i]->len);
    }
}

size_t mixed_sizes(size_t number)
{
    size_t size = 1 + number * 37 % 200;
    if (number % 701 == 350) {
        size = 200 * 1024;
    } else if (number % 211 == 7) {
        size = 70 * 1024;
    } else if (number % 23 == 0) {
        size = 3000 + number;
    }
    return size;
}

size_t medium_sizes(size_t number)
{
    return 4 + number * 91 % 3000;
}

/* ---- members ---- */

static void set_buffers(int fd, int size)
{
    if (size > 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
}

struct member *join(struct fixture *fixture, const struct kj__endpoint *endpoint, unsigned wanted,
                    int buffer, int *fd)
{
    int pair[2];
    int opened = atomic_load(&fixture->opened);
    struct member *member = calloc(1, sizeof *member);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    set_buffers(pair[0], buffer);
    set_buffers(pair[1], buffer);
    kj__connection_init(&member->connection, fixture->delivery, endpoint, true);
    member->wanted = wanted;
    assert_true(kj__connection_announce(&member->connection));
    assert_true(kj__connection_attach(&member->connection, pair[0], NULL));
    wait_for(&fixture->opened, opened + 1);
    *fd = pair[1];
    return member;
}

int join_one(struct fixture *fixture, const struct kj__endpoint *endpoint, int buffer)
{
    int fd;
    kj__connection_unref(&join(fixture, endpoint, 1, buffer, &fd)->connection);
    return fd;
}

void join_readers(struct fixture *fixture, struct reader *readers, size_t count, int buffer)
{
    for (size_t i = 0; i < count; i++) {
        readers[i] = (struct reader){.fd = join_one(fixture, &fixture->patient, buffer),
                                     .end = fixture->script.offsets[fixture->script.count]};
    }
}

void close_readers(const struct reader *readers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(readers[i].fd);
    }
}

/* ---- on the shard ---- */

static void run_call(struct kj__job *job, struct kj__shard *shard)
{
    struct call *call = (struct call *)job;
    (void)shard;
    call->run(call);
    if (call->done) {
        atomic_store(call->done, 1);
    }
    free(call);
}

void post(struct fixture *fixture, struct call values)
{
    struct call *call = malloc(sizeof *call);
    *call = values;
    call->job.run = run_call;
    call->fixture = fixture;
    assert_true(kj__shard_post(&fixture->delivery->shards[0], &call->job));
}

void post_and_wait(struct fixture *fixture, struct call values)
{
    _Atomic int done = 0;
    values.done = &done;
    post(fixture, values);
    wait_for(&done, 1);
}

void append(struct call *call)
{
    struct fixture *fixture = call->fixture;
    for (size_t i = call->from; i < call->to; i++) {
        assert_true(
            kj__audience_append(&fixture->audiences[call->audience], fixture->script.frames[i]));
    }
}

void publish(struct fixture *fixture, size_t from, size_t to)
{
    for (size_t at = from, some = 1; at < to; at += some, some = some % 150 + 7) {
        size_t next = at + some < to ? at + some : to;
        post(fixture, (struct call){.run = append, .from = at, .to = next});
    }
}

/* ---- what peers read ---- */

/* Reads once, at most `max` bytes, and compares. False when there was nothing. */
static bool read_some(struct fixture *fixture, struct reader *reader, size_t max)
{
    size_t left = reader->end - reader->at;
    ssize_t got = recv(reader->fd, fixture->room, left < max ? left : max, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return false;
    }
    assert_true(got > 0);
    assert_memory_equal(fixture->room, fixture->script.stream + reader->at, (size_t)got);
    reader->at += (size_t)got;
    return true;
}

void read_streams(struct fixture *fixture, struct reader *readers, size_t count, size_t max)
{
    size_t waiting = count;
    for (int idle_ms = 0; waiting > 0;) {
        bool has_read = false;
        waiting = 0;
        for (size_t i = 0; i < count; i++) {
            has_read |= readers[i].at < readers[i].end && read_some(fixture, &readers[i], max);
            waiting += readers[i].at < readers[i].end;
        }
        idle_ms = has_read ? 0 : idle_ms + 1;
        assert_true(idle_ms < DEADLINE_MS);
        poll(NULL, 0, has_read ? 0 : 1);
    }
}

void read_slices(struct fixture *fixture, struct reader *readers, size_t count, size_t max)
{
    read_streams(fixture, readers, count, max);
    for (size_t i = 0; i < count; i++) {
        send_frame(readers[i].fd, 0x89, "end", 3);
        expect_bytes(readers[i].fd,
                     "\x8a\x03"
                     "end",
                     5);
    }
}

bool read_into_heap(int fd, struct heap *heap)
{
    if (heap->capacity - heap->len < READ_MAX) {
        heap->capacity += 16 * (size_t)READ_MAX;
        heap->bytes = realloc(heap->bytes, heap->capacity);
    }
    ssize_t got = recv(fd, heap->bytes + heap->len, READ_MAX, MSG_DONTWAIT);
    heap->len += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* A frame at *at: its first byte, its payload. */
static uint8_t parse_frame(const struct heap *heap, size_t *at, const uint8_t **payload,
                           size_t *len)
{
    const uint8_t *bytes = heap->bytes + *at;
    size_t left = heap->len - *at;
    size_t header = 2;
    assert_true(left >= 2);
    *len = bytes[1];
    if (*len >= 126) {
        size_t extra = *len == 126 ? 2 : 8;
        assert_true(left >= 2 + extra);
        *len = 0;
        for (size_t i = 0; i < extra; i++) {
            *len = *len << 8 | bytes[header++];
        }
    }
    assert_true(left >= header + *len);
    *payload = bytes + header;
    *at += header + *len;
    return bytes[0];
}

bool has_whole_frames(const struct heap *heap)
{
    size_t at = 0;
    while (heap->len - at >= 4) {
        const uint8_t *bytes = heap->bytes + at;
        size_t len = bytes[1] < 126 ? 2u + bytes[1] : 4u + ((size_t)bytes[2] << 8 | bytes[3]);
        if (len > heap->len - at) {
            return false;
        }
        at += len;
    }
    return at == heap->len;
}

static void check_data(const struct fixture *fixture, const uint8_t *frame, size_t len,
                       size_t number)
{
    assert_true(number < fixture->script.count);
    assert_int_equal(len, fixture->script.frames[number]->len);
    assert_memory_equal(frame, fixture->script.frames[number]->bytes, len);
}

struct contents check_heap(const struct fixture *fixture, const struct heap *heap, size_t residues)
{
    struct contents contents = {.is_told_in_gap = true};
    size_t next[AUDIENCES] = {0};
    size_t expected = 0;
    for (size_t at = 0; at < heap->len;) {
        const uint8_t *payload;
        size_t len;
        size_t start = at;
        assert_int_equal(contents.close_code, 0);
        uint8_t first = parse_frame(heap, &at, &payload, &len);
        if (first == 0x8a) {
            contents.pongs++;
            assert_int_equal(len, 4);
            assert_memory_equal(payload, "ping", 4);
        } else if (first == 0x88) {
            contents.close_code = (unsigned)(payload[0] << 8 | payload[1]);
        } else if (first == 0x81) {
            size_t told = strtoul((const char *)payload, NULL, 10);
            contents.told += told;
            expected += told;
        } else {
            size_t number = payload[0] | (size_t)payload[1] << 8;
            assert_int_equal(first, 0x82);
            check_data(fixture, heap->bytes + start, at - start, number);
            assert_true(number >= next[number % residues]);
            next[number % residues] = number + 1;
            contents.is_told_in_gap &= number == expected;
            expected = number + 1;
            contents.data++;
        }
    }
    return contents;
}

bool is_settled(const struct fixture *fixture, uint64_t controls)
{
    const struct kj__counters *counters = &fixture->counters;
    return counters->events_queued + controls ==
           counters->frames_out + counters->dropped_queue_full + counters->dropped_closing;
}

void wait_until_settled(const struct fixture *fixture, uint64_t controls)
{
    for (int waited = 0; !is_settled(fixture, controls); waited++) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

bool ends_with(const struct heap *heap, const struct kj__out_frame *frame)
{
    return heap->len >= frame->len &&
           memcmp(heap->bytes + heap->len - frame->len, frame->bytes, frame->len) == 0;
}

void read_until(int fd, struct heap *heap, const struct kj__out_frame *last)
{
    while (!ends_with(heap, last)) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, DEADLINE_MS), 1);
        assert_true(read_into_heap(fd, heap));
    }
}
