/* audience.c - see audience.h. */
#include "delivery/audience.h"

#include "delivery/connection.h"
#include "delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMBERS_FIRST_CAPACITY = 4,
    LOG_FIRST_CAPACITY = 16,
    JOINED_MAX = 64 * 1024, /* bytes of small frames joined for one send */
};

void kj__audience_init(struct kj__audience *audience, struct kj__shard *shard)
{
    *audience = (struct kj__audience){.shard = shard};
    kj__list_init(&audience->behind_link);
    kj__list_init(&audience->flushing_link);
}

/* Forgets the frames before `position`. */
static void trim_log(struct kj__audience *audience, uint32_t position)
{
    uint32_t gone = position - audience->begin;
    uint32_t left = audience->end - position;
    for (uint32_t i = 0; i < gone; i++) {
        audience->shard->logged_bytes -= audience->log[i]->len;
        kj__out_frame_unref(audience->log[i]);
    }
    if (left > 0) {
        memmove(audience->log, audience->log + gone, left * sizeof(struct kj__out_frame *));
    } else if (audience->log_capacity > LOG_FIRST_CAPACITY) {
        free(audience->log);
        audience->log = NULL;
        audience->log_capacity = 0;
    }
    audience->begin = position;
}

void kj__audience_fini(struct kj__audience *audience)
{
    trim_log(audience, audience->end);
    kj__list_unlink(&audience->behind_link);
    free(audience->log);
    free(audience->members);
}

/* ---- seats ---- */

bool kj__audience_seat(struct kj__audience *audience, struct kj__seat *seat,
                       struct kj__connection *connection)
{
    if (audience->count == audience->capacity) {
        size_t capacity = audience->capacity ? audience->capacity * 2 : MEMBERS_FIRST_CAPACITY;
        struct kj__member *members = realloc(audience->members, capacity * sizeof *members);
        if (!members) {
            return false;
        }
        audience->members = members;
        audience->capacity = capacity;
    }
    for (const struct kj__seat *other = connection->seats; other; other = other->next) {
        audience->is_shared = true;
        other->audience->is_shared = true;
    }
    *seat = (struct kj__seat){.connection = connection,
                              .audience = audience,
                              .next = connection->seats,
                              .index = (uint32_t)audience->count};
    connection->seats = seat;
    audience->members[audience->count++] = (struct kj__member){
        .seat = seat, .target = kj__connection_target(connection), .position = audience->end};
    return true;
}

static struct kj__member *member_of(const struct kj__seat *seat)
{
    return &seat->audience->members[seat->index];
}

void kj__seat_set_target(struct kj__seat *seat, int target)
{
    member_of(seat)->target = target;
}

static void settle_until(struct kj__seat *seat, uint32_t end)
{
    struct kj__audience *audience = seat->audience;
    /* By index: a send may close the connection, and its seat is then gone. */
    while (seat->audience && member_of(seat)->position != end) {
        struct kj__member *member = member_of(seat);
        struct kj__out_frame *frame = audience->log[member->position++ - audience->begin];
        kj__connection_enqueue(seat->connection, frame);
    }
}

void kj__seat_settle(struct kj__seat *seat)
{
    settle_until(seat, seat->audience->end);
}

void kj__seat_skip(struct kj__seat *seat, uint32_t count)
{
    settle_until(seat, seat->audience->end - count);
    if (seat->audience) {
        member_of(seat)->position = seat->audience->end;
        seat->audience->shard->tally.events_queued -= count;
    }
}

static void take_out(struct kj__seat *seat)
{
    struct kj__audience *audience = seat->audience;
    struct kj__member *member = member_of(seat);
    *member = audience->members[--audience->count];
    member->seat->index = seat->index;
    struct kj__seat **link = &seat->connection->seats;
    while (*link != seat) {
        link = &(*link)->next;
    }
    *link = seat->next;
    *seat = (struct kj__seat){0};
    if (audience->count == 0 && !kj__audience_is_flushing(audience)) {
        audience->is_shared = false;
        trim_log(audience, audience->end);
    }
}

void kj__seat_leave(struct kj__seat *seat)
{
    if (!seat->audience) {
        return;
    }
    if (seat->connection->state == KJ__CONNECTION_OPEN) {
        kj__seat_settle(seat);
    }
    if (!seat->audience) {
        return;
    }
    uint32_t lost = seat->audience->end - member_of(seat)->position;
    KJ__COUNT_BY(seat->audience->shard->delivery->counters, dropped_closing, lost);
    take_out(seat);
}

/* ---- the log ---- */

static bool grow_log(struct kj__audience *audience)
{
    uint32_t capacity = audience->log_capacity ? audience->log_capacity * 2 : LOG_FIRST_CAPACITY;
    struct kj__out_frame **log = realloc(audience->log, capacity * sizeof(struct kj__out_frame *));
    if (!log) {
        return false;
    }
    audience->log = log;
    audience->log_capacity = capacity;
    return true;
}

bool kj__audience_append(struct kj__audience *audience, struct kj__out_frame *frame)
{
    struct kj__shard *shard = audience->shard;
    if (audience->end - audience->begin == audience->log_capacity && !grow_log(audience)) {
        return false;
    }
    audience->log[audience->end++ - audience->begin] = kj__out_frame_ref(frame);
    shard->tally.events_queued += audience->count;
    shard->logged_bytes += frame->len;
    if (kj__list_is_empty(&audience->behind_link)) {
        kj__list_append(&shard->behind, &audience->behind_link);
    }
    return true;
}

/* ---- a flush ---- */

static struct kj__out_frame *frame_at(const struct kj__audience *audience, uint32_t position)
{
    return audience->log[position - audience->begin];
}

/* Whole frames from `from` on: one where it is, or several copied into `room`. */
static struct kj__piece join(const struct kj__audience *audience, uint32_t from, uint8_t *room)
{
    struct kj__out_frame *first = frame_at(audience, from);
    struct kj__piece piece = {.audience = audience,
                              .from = from,
                              .to = from + 1,
                              .bytes = first->bytes,
                              .len = (uint32_t)first->len};
    while (piece.to != audience->end &&
           piece.len + frame_at(audience, piece.to)->len <= JOINED_MAX) {
        struct kj__out_frame *frame = frame_at(audience, piece.to++);
        if (piece.bytes != room) {
            memcpy(room, first->bytes, first->len);
            piece.bytes = room;
        }
        memcpy(room + piece.len, frame->bytes, frame->len);
        piece.len += (uint32_t)frame->len;
    }
    return piece;
}

/* The piece as a record of the member's own. What is larger than a record goes through the queue.
 * So does what cannot be sealed: because reading left an answer of TLS itself to be sent first, or
 * for good, which ends the connection there. False when the batch has no room for it. */
static bool add_sealed(struct kj__shard *shard, struct kj__member *member, struct kj__piece *piece)
{
    struct kj__batch *batch = &shard->batch;
    struct kj__tls *tls = member->seat->connection->tls;
    uint8_t *room = shard->sealed_records + batch->sealed;
    size_t len = 0;
    if (piece->len <= KJ__TLS_RECORD_MAX && kj__tls_may_seal(tls)) {
        if (KJ__TLS_SEALED_MAX(piece->len) > sizeof shard->sealed_records - batch->sealed) {
            return false;
        }
        len = kj__tls_seal(tls, piece->bytes, piece->len, room);
    }
    if (len == 0) {
        kj__seat_settle(member->seat);
        return true;
    }
    batch->sealed += len;
    batch->seats[batch->count++] = member->seat;
    member->position = piece->to;
    kj__writer_add(&shard->writer, kj__sealed_target(member->target), room, (uint32_t)len);
    return true;
}

/* Adds a write for the member; false when the batch has no room for what it is to get. */
static bool add_write(struct kj__audience *audience, struct kj__member *member)
{
    struct kj__shard *shard = audience->shard;
    struct kj__batch *batch = &shard->batch;
    size_t count = batch->count;
    struct kj__piece *piece = &batch->pieces[count];
    const struct kj__piece *last = count > 0 ? &batch->pieces[count - 1] : NULL;
    if (last && last->audience == audience && last->from == member->position) {
        *piece = *last; /* most members are where the one before is */
    } else if (batch->joined + JOINED_MAX > sizeof shard->joined_frames) {
        return false;
    } else {
        *piece = join(audience, member->position, shard->joined_frames + batch->joined);
        batch->joined += piece->to - piece->from > 1 ? piece->len : 0;
    }
    if (member->target < KJ__TARGET_QUEUE) {
        return add_sealed(shard, member, piece);
    }
    batch->seats[count] = member->seat;
    batch->count++;
    member->position = piece->to;
    kj__writer_add(&shard->writer, member->target, piece->bytes, piece->len);
    return true;
}

static bool is_broken(int result)
{
    return result < 0 && result != -EAGAIN && result != -EWOULDBLOCK && result != -EINTR;
}

/* The socket took `result` bytes of the piece, or failed: the rest goes to the queue. */
static void take_rest(struct kj__seat *seat, const struct kj__piece *piece, int result)
{
    struct kj__connection *connection = seat->connection; /* the seat may be left below */
    const struct kj__audience *audience = seat->audience;
    size_t sent = result > 0 ? (size_t)result : 0;
    uint32_t position = piece->from;
    while (frame_at(audience, position)->len <= sent) {
        sent -= frame_at(audience, position++)->len;
    }
    struct kj__tally *tally = &audience->shard->tally;
    tally->frames_out += position - piece->from;
    tally->bytes_out += result > 0 ? (uint64_t)result : 0;
    /* Back to where it is, so that what it missed is in the log for whoever counts it. */
    member_of(seat)->position = position;
    if (is_broken(result)) {
        kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
        return;
    }
    if (sent > 0) {
        member_of(seat)->position++;
        if (!kj__connection_enqueue_rest(connection, frame_at(audience, position), sent)) {
            return;
        }
    }
    kj__connection_note_blocked(connection);
    kj__seat_settle(seat);
}

/* The same of a record: its frames have left, as far as the audience is concerned. */
static void take_rest_of_record(struct kj__seat *seat, const struct kj__piece *piece,
                                const struct kj__write *write)
{
    struct kj__connection *connection = seat->connection;
    struct kj__tally *tally = &seat->audience->shard->tally;
    size_t sent = write->result > 0 ? (size_t)write->result : 0;
    if (is_broken(write->result)) {
        member_of(seat)->position = piece->from;
        kj__connection_abort(connection, KJ__CAUSE_IO_ERROR);
        return;
    }
    tally->frames_out += piece->to - piece->from;
    tally->bytes_out += piece->len;
    kj__connection_keep_sealed(connection, write->bytes + sent, write->len - sent);
}

static void run_batch(struct kj__shard *shard)
{
    struct kj__batch *batch = &shard->batch;
    struct kj__writer *writer = &shard->writer;
    struct kj__tally *tally = &shard->tally;
    kj__writer_run(writer);
    for (size_t i = 0; i < batch->count; i++) {
        const struct kj__write *write = &writer->writes[i];
        const struct kj__piece *piece = &batch->pieces[i];
        if (write->result == (int)write->len) {
            tally->frames_out += piece->to - piece->from;
            tally->bytes_out += piece->len;
        } else if (batch->seats[i]->connection->tls) {
            take_rest_of_record(batch->seats[i], piece, write);
        } else {
            take_rest(batch->seats[i], piece, write->result);
        }
    }
    writer->count = 0;
    batch->count = 0;
    batch->joined = 0;
    batch->sealed = 0;
}

/* How far the furthest member is behind. */
static uint32_t longest_lag(const struct kj__audience *audience)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < audience->count; i++) {
        uint32_t lag = audience->end - audience->members[i].position;
        longest = lag > longest ? lag : longest;
    }
    return longest;
}

void kj__audience_flush(struct kj__audience *audience)
{
    struct kj__shard *shard = audience->shard;
    size_t i = 0;
    kj__list_unlink(&audience->behind_link);
    kj__list_append(&shard->flushing, &audience->flushing_link);
    /* Members may leave while a batch runs, and the last one then takes the place of one that
     * is done: it is found behind at the end. */
    while (i < audience->count) {
        struct kj__member *member = &audience->members[i];
        bool is_added = true;
        if (member->position != audience->end) {
            if (member->target == KJ__TARGET_QUEUE) {
                kj__seat_settle(member->seat);
            } else {
                is_added = add_write(audience, member);
            }
        }
        i += is_added;
        if (!is_added || kj__writer_is_full(&shard->writer)) {
            size_t written = shard->batch.count;
            run_batch(shard);
            kj__shard_take_more(shard, written);
        }
    }
    if (audience->is_shared) {
        run_batch(shard);
    }
}

void kj__audience_finish_flushes(struct kj__shard *shard)
{
    run_batch(shard);
    while (!kj__list_is_empty(&shard->flushing)) {
        struct kj__audience *audience = KJ__CONTAINER_OF(shard->flushing.next, struct kj__audience,
                                                         flushing_link);
        uint32_t lag = longest_lag(audience);
        kj__list_unlink(&audience->flushing_link);
        audience->carried = audience->end - audience->begin;
        trim_log(audience, audience->end - lag);
        if (lag > 0 && kj__list_is_empty(&audience->behind_link)) {
            kj__list_append(&shard->behind, &audience->behind_link);
        }
    }
}
