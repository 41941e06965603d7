/* floor.c - what the kernel asks for a delivery, with no server around it.
 *
 * A sender on CPU 0 has N loopback TCP connections to a reader on CPU 1, and sends the same
 * bytes to each of them, round after round; the next round begins when the reader has
 * everything, as with a window of one event. Each connection begins as a websocket does, with a
 * request and an answer: the kernel acknowledges later, and elsewhere, on a connection whose
 * reader has spoken (the timer of the sender's CPU does it, where the reader's read did). Four
 * ways take turns: send(), writev() of 4 and
 * of 8 messages at a time, and, where liburing is there, SEND through io_uring with registered
 * files, submitted by the thousand. Printed as JSON: the sender's CPU time, in microseconds,
 * for one message to one connection.
 *
 *   cc -O2 -DHAVE_LIBURING -o floor bench/floor.c -luring && ./floor 1000 132 3
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

enum {
    SESSIONS_MAX = 19900,
    MESSAGE_MAX = 65536,
    BATCH = 1000, /* submissions at a time */
    VECTOR_MAX = 8,
    REQUEST_SIZE = 180, /* about what a handshake takes */
    ANSWER_SIZE = 129,
    READER_NAP_US = 200, /* a client that is busy is not woken for every message, either */
    TURN_MS = 250,
    LATE_MS = 10000,
};

/* What both processes see. */
struct shared {
    _Atomic uint64_t received;
};

struct floor {
    struct shared *shared;
    int count;
    size_t message_size;
    uint64_t sent; /* bytes, in all */
    int sockets[SESSIONS_MAX];
    uint8_t message[MESSAGE_MAX];
#ifdef HAVE_LIBURING
    struct io_uring ring;
#endif
};

/* One way to send a round; returns the messages to each connection. */
typedef int (*send_round)(struct floor *floor);

struct way {
    const char *name;
    send_round round;
    double cpu_s;
    double messages;
};

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pin(size_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* best effort: there may be one CPU only */
}

/* ---- the reader ---- */

static int dial(const struct sockaddr_in *address)
{
    static const uint8_t request[REQUEST_SIZE];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) ||
        write(fd, request, sizeof request) != sizeof request) {
        die("connecting");
    }
    return fd;
}

static void hear_answer(int fd)
{
    uint8_t answer[ANSWER_SIZE];
    if (recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer) {
        die("hearing the answer");
    }
}

static void read_for_ever(struct shared *shared, const struct sockaddr_in *address, int count)
{
    static uint8_t buffer[1 << 20];
    struct epoll_event events[512];
    struct timespec nap = {.tv_nsec = READER_NAP_US * 1000L};
    int epoll = epoll_create1(0);
    pin(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = dial(address)};
        hear_answer(event.data.fd);
        epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    for (;;) {
        uint64_t received = 0;
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            ssize_t n = read(events[i].data.fd, buffer, sizeof buffer);
            if (n <= 0) {
                exit(EXIT_SUCCESS);
            }
            received += (uint64_t)n;
        }
        atomic_fetch_add(&shared->received, received);
        nanosleep(&nap, NULL);
    }
}

/* ---- the ways ---- */

static int round_send(struct floor *floor)
{
    for (int i = 0; i < floor->count; i++) {
        if (send(floor->sockets[i], floor->message, floor->message_size,
                 MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)floor->message_size) {
            die("send");
        }
    }
    return 1;
}

static int round_writev(struct floor *floor, int messages)
{
    struct iovec vector[VECTOR_MAX];
    for (int i = 0; i < messages; i++) {
        vector[i] = (struct iovec){floor->message, floor->message_size};
    }
    for (int i = 0; i < floor->count; i++) {
        if (writev(floor->sockets[i], vector, messages) !=
            (ssize_t)floor->message_size * messages) {
            die("writev");
        }
    }
    return messages;
}

static int round_writev_4(struct floor *floor)
{
    return round_writev(floor, 4);
}

static int round_writev_8(struct floor *floor)
{
    return round_writev(floor, 8);
}

#ifdef HAVE_LIBURING
static bool make_ring(struct floor *floor)
{
    return io_uring_queue_init(BATCH, &floor->ring, 0) == 0 &&
           io_uring_register_files(&floor->ring, floor->sockets, (unsigned)floor->count) == 0;
}

static int round_uring(struct floor *floor)
{
    for (int i = 0; i < floor->count;) {
        int end = i + BATCH < floor->count ? i + BATCH : floor->count;
        int asked = end - i;
        for (; i < end; i++) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&floor->ring);
            io_uring_prep_send(sqe, i, floor->message, floor->message_size,
                               MSG_WAITALL | MSG_DONTWAIT | MSG_NOSIGNAL);
            sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
        }
        struct io_uring_cqe *failed;
        if (io_uring_submit(&floor->ring) != asked ||
            io_uring_peek_cqe(&floor->ring, &failed) != -EAGAIN) {
            die("io_uring");
        }
    }
    return 1;
}
#endif

/* ---- the sender ---- */

static void shake_hands(int fd)
{
    static const uint8_t answer[ANSWER_SIZE];
    uint8_t request[REQUEST_SIZE];
    if (recv(fd, request, sizeof request, MSG_WAITALL) != sizeof request ||
        send(fd, answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) {
        die("the handshake");
    }
}

static void accept_all(struct floor *floor, int listener)
{
    int on = 1;
    for (int i = 0; i < floor->count; i++) {
        floor->sockets[i] = accept(listener, NULL, NULL);
        if (floor->sockets[i] < 0) {
            die("accept");
        }
        setsockopt(floor->sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        shake_hands(floor->sockets[i]);
    }
}

static void wait_until_received(struct floor *floor)
{
    struct timespec nap = {.tv_nsec = 50 * 1000L};
    double deadline = seconds(CLOCK_MONOTONIC) + LATE_MS / 1e3;
    while (atomic_load(&floor->shared->received) < floor->sent) {
        if (seconds(CLOCK_MONOTONIC) > deadline) {
            errno = ETIMEDOUT;
            die("waiting for the reader");
        }
        nanosleep(&nap, NULL);
    }
}

/* The waiting is not the kernel's price of sending, and so is left out. */
static void take_turn(struct floor *floor, struct way *way, bool counts)
{
    double end = seconds(CLOCK_MONOTONIC) + TURN_MS / 1e3;
    while (seconds(CLOCK_MONOTONIC) < end) {
        double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
        int messages = way->round(floor);
        double used = seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
        floor->sent += (uint64_t)floor->count * (uint64_t)messages * floor->message_size;
        wait_until_received(floor);
        if (counts) {
            way->cpu_s += used;
            way->messages += (double)floor->count * messages;
        }
    }
}

static void measure(struct floor *floor, double duration_s)
{
    struct way ways[] = {
        {.name = "send", .round = round_send},
        {.name = "writev_4", .round = round_writev_4},
        {.name = "writev_8", .round = round_writev_8},
#ifdef HAVE_LIBURING
        {.name = "uring", .round = round_uring},
#endif
    };
    size_t count = sizeof ways / sizeof *ways;
#ifdef HAVE_LIBURING
    count -= !make_ring(floor);
#endif
    double end = seconds(CLOCK_MONOTONIC) + duration_s * (double)count;
    for (int rounds = 0; rounds < 2 || seconds(CLOCK_MONOTONIC) < end; rounds++) {
        for (size_t i = 0; i < count; i++) {
            take_turn(floor, &ways[i], rounds > 0); /* the first is to warm up */
        }
    }
    printf("{\"sessions\": %d, \"bytes\": %zu", floor->count, floor->message_size);
    for (size_t i = 0; i < count; i++) {
        printf(", \"%s\": %.4f", ways[i].name, ways[i].cpu_s / ways[i].messages * 1e6);
    }
    printf("}\n");
}

static int listen_somewhere(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (listener < 0 || bind(listener, (struct sockaddr *)address, size) ||
        listen(listener, 4096) || getsockname(listener, (struct sockaddr *)address, &size)) {
        die("listening");
    }
    return listener;
}

int main(int argc, char **argv)
{
    static struct floor floor;
    struct sockaddr_in address;
    struct rlimit limit;
    if (argc != 4 || atoi(argv[1]) < 1 || atoi(argv[1]) > SESSIONS_MAX || atoi(argv[2]) < 1 ||
        atoi(argv[2]) > MESSAGE_MAX || atof(argv[3]) <= 0) {
        fprintf(stderr, "usage: floor SESSIONS BYTES SECONDS_EACH\n");
        return 2;
    }
    floor.count = atoi(argv[1]);
    floor.message_size = (size_t)atoi(argv[2]);
    memset(floor.message, 'x', floor.message_size);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int listener = listen_somewhere(&address);
    floor.shared = mmap(NULL, sizeof *floor.shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t reader = floor.shared == MAP_FAILED ? -1 : fork();
    if (reader < 0) {
        die("starting the reader");
    }
    if (reader == 0) {
        close(listener);
        read_for_ever(floor.shared, &address, floor.count);
    }
    pin(0);
    accept_all(&floor, listener);
    measure(&floor, atof(argv[3]));
    kill(reader, SIGTERM);
    waitpid(reader, NULL, 0);
    return EXIT_SUCCESS;
}
