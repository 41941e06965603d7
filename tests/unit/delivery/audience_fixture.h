/* audience_fixture.h - two audiences on a real shard, members on socket pairs, and what their
 * peers read, compared byte for byte. */
#ifndef KJ_TESTS_DELIVERY_AUDIENCE_FIXTURE_H
#define KJ_TESTS_DELIVERY_AUDIENCE_FIXTURE_H

#include "delivery/delivery.h"

enum { FRAMES_MAX = 8000, AUDIENCES = 2, READ_MAX = 1 << 18, SMALL_BUFFER = 4096 };

/* The frames of a test, by number, and the same as one stream. */
struct script {
    struct kj__out_frame *frames[FRAMES_MAX];
    size_t offsets[FRAMES_MAX + 1]; /* of each in the stream, and its end */
    uint8_t *stream;
    size_t count;
};

struct fixture {
    struct kj__counters counters;
    struct kj__delivery *delivery;
    struct kj__endpoint patient; /* of members that get everything */
    struct kj__endpoint bounded; /* of those with a small queue */
    struct kj__audience audiences[AUDIENCES];
    struct script script;
    uint8_t *room; /* READ_MAX bytes */
    bool tells;    /* peers get a notice, the number of frames dropped as text */
    _Atomic int opened, closed, released, notices;
    _Atomic int seated; /* in the first audience, when last asked */
};

struct member {
    struct kj__connection connection; /* first */
    unsigned dropped;                 /* frames its peer was not told of */
    struct kj__seat seats[AUDIENCES];
    unsigned wanted; /* a bit for each audience to be seated in */
};

/* What the peer of a member is to read: a slice of the stream. */
struct reader {
    int fd;
    size_t at, end;
};

struct fixture *fixture_new(enum kj_io io);
void fixture_free(struct fixture *fixture); /* stops first, and checks that nothing is left */

/* Numbered frames: the number comes first where there is room for it. */
void write_script(struct fixture *fixture, size_t count, size_t (*size_of)(size_t number));

/* From 1 byte to 200 KiB, most of them small; and from 4 bytes to 3 KiB. */
size_t mixed_sizes(size_t number);
size_t medium_sizes(size_t number);

/* A member that is seated when it returns, with a reference for the caller. `buffer`: of the
 * sockets; 0: what the system gives. */
struct member *join(struct fixture *fixture, const struct kj__endpoint *endpoint, unsigned wanted,
                    int buffer, int *fd);

/* The peer of one in the first audience. */
int join_one(struct fixture *fixture, const struct kj__endpoint *endpoint, int buffer);

/* Many that are to get the whole script. */
void join_readers(struct fixture *fixture, struct reader *readers, size_t count, int buffer);
void close_readers(const struct reader *readers, size_t count);

/* ---- on the shard ---- */

struct call {
    struct kj__job job;
    void (*run)(struct call *call);
    struct fixture *fixture;
    struct member *member;
    size_t audience, from, to; /* frames of the script */
    _Atomic int *done;         /* NULL: nobody waits */
};

void post(struct fixture *fixture, struct call values);
void post_and_wait(struct fixture *fixture, struct call values);

/* A call: its frames to its audience. */
void append(struct call *call);

/* Frames [from, to) to the first audience, some in each job. */
void publish(struct fixture *fixture, size_t from, size_t to);

/* ---- what peers read ---- */

/* Reads all slices to their ends, in turn, at most `max` bytes at a time. */
void read_streams(struct fixture *fixture, struct reader *readers, size_t count, size_t max);

/* The same, and nothing may follow. */
void read_slices(struct fixture *fixture, struct reader *readers, size_t count, size_t max);

/* Everything a peer read that is not to get a slice. */
struct heap {
    uint8_t *bytes;
    size_t len, capacity;
};

/* False when there was nothing. */
bool read_into_heap(int fd, struct heap *heap);

/* Until that frame is the last one. */
void read_until(int fd, struct heap *heap, const struct kj__out_frame *last);
bool ends_with(const struct heap *heap, const struct kj__out_frame *frame);

/* Whether it ends with a frame; for frames of up to 64 KiB. */
bool has_whole_frames(const struct heap *heap);

/* What is in a heap. */
struct contents {
    size_t data; /* frames of the script */
    size_t pongs;
    size_t told;         /* the sum of all notices */
    bool is_told_in_gap; /* every gap has its notice, and that is in it */
    unsigned close_code; /* 0: no close frame */
};

/* Takes a heap apart: data frames of the script must be whole, each at most once, and those of a
 * residue in ascending order; a close frame must be last. */
struct contents check_heap(const struct fixture *fixture, const struct heap *heap, size_t residues);

/* Whether all that was queued has left or counts as dropped; `controls` frames left besides. */
bool is_settled(const struct fixture *fixture, uint64_t controls);
void wait_until_settled(const struct fixture *fixture, uint64_t controls);

#endif
