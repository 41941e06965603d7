/* door.c - see door.h. */
#include "http/door.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/door_served.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    DEFER_SECONDS = 1, /* the kernel keeps a connection that says nothing for so long */
    PAUSE_MS = 100,    /* before the next try when no descriptor was free */
    ROUND_EVENTS = 64, /* looked at in one call, which must end while a stop is waited for */
};

/* A connection without its head. */
struct waiting {
    struct kj__list link;
    int fd;
    uint64_t deadline_ms;
    struct sockaddr_storage peer;
    socklen_t peer_len;
    struct kj__door_address *of;
    struct kj__list held_link; /* in of->held; guarded by the door's lock */
    bool is_whole;             /* its request is there: it is held, or was and is called */
};

/* A connection for civetweb. */
struct taken {
    int fd; /* -1: none */
    bool is_handshake;
    struct sockaddr_storage peer;
    socklen_t peer_len;
};

#define WAITING_EVENTS ((uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLET)
#define HELD_EVENTS ((uint32_t)EPOLLET) /* what more comes of a request changes nothing */

/* Every open door, for kj__door_accept; guarded by the lock. */
static struct kj__list doors = {&doors, &doors};
static pthread_mutex_t doors_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- those that are held: their request is there, but their address has its share ---- */

size_t kj__door_share(const struct kj__door *door)
{
    return ((size_t)door->options.workers * 3 + 3) / 4;
}

/* It is announced once more. */
void kj__door_call_next(const struct kj__door *door, struct kj__door_address *of)
{
    if (of->served < kj__door_share(door) && !kj__list_is_empty(&of->held)) {
        struct waiting *next = KJ__CONTAINER_OF(of->held.next, struct waiting, held_link);
        struct epoll_event event = {.events = WAITING_EVENTS, .data.ptr = next};
        kj__list_unlink(&next->held_link);
        epoll_ctl(door->epoll_fd, EPOLL_CTL_MOD, next->fd, &event);
    }
}

/* Whether it has to wait until another of its address is done. */
static bool hold(struct kj__door *door, struct waiting *waiting)
{
    pthread_mutex_lock(&door->lock);
    bool is_full = waiting->of->served >= kj__door_share(door);
    if (is_full && kj__list_is_empty(&waiting->held_link)) {
        /* One that was called, and came too late, is the next again. */
        struct kj__list *held = &waiting->of->held;
        struct epoll_event event = {.events = HELD_EVENTS, .data.ptr = waiting};
        kj__list_append(waiting->is_whole ? held->next : held, &waiting->held_link);
        epoll_ctl(door->epoll_fd, EPOLL_CTL_MOD, waiting->fd, &event);
    }
    pthread_mutex_unlock(&door->lock);
    if (is_full && !waiting->is_whole) {
        waiting->is_whole = true;
        KJ__COUNT(door->options.counters, connections_held);
    }
    return is_full;
}

/* Whether a new connection of the address would be held. */
static bool has_its_share(struct kj__door *door, const struct sockaddr_storage *peer)
{
    char address[KJ__DOOR_ADDRESS_SIZE];
    kj__door_read_peer(peer, address);
    pthread_mutex_lock(&door->lock);
    const struct kj__door_address *of = kj__door_address_find(&door->addresses, address);
    bool is_full = of && (of->served >= kj__door_share(door) || !kj__list_is_empty(&of->held));
    pthread_mutex_unlock(&door->lock);
    return is_full;
}

/* ---- those that wait ---- */

static void arm_timer(struct kj__door *door, uint64_t deadline_ms)
{
    const struct itimerspec when = {.it_value = {.tv_sec = (time_t)(deadline_ms / 1000),
                                                 .tv_nsec = (long)(deadline_ms % 1000) * 1000000L}};
    timerfd_settime(door->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Takes it out of the set; its socket is left to the caller. */
static void forget(struct kj__door *door, struct waiting *waiting)
{
    epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, waiting->fd, NULL);
    kj__list_unlink(&waiting->link);
    door->waiting_count--;
    KJ__UNCOUNT(door->options.counters, connections_waiting);
    pthread_mutex_lock(&door->lock);
    kj__list_unlink(&waiting->held_link);
    waiting->of->waiting--;
    kj__door_address_let_go(&door->addresses, waiting->of);
    pthread_mutex_unlock(&door->lock);
    free(waiting);
}

static void end_waiting(struct kj__door *door, struct waiting *waiting)
{
    int fd = waiting->fd;
    pthread_mutex_lock(&door->lock);
    kj__list_unlink(&waiting->held_link);
    kj__door_call_next(door, waiting->of); /* this one may have been called */
    pthread_mutex_unlock(&door->lock);
    forget(door, waiting);
    close(fd);
}

static void refuse(struct kj__door *door, int fd, const struct sockaddr_storage *peer)
{
    static struct kj__log_limit limit;
    char address[KJ__DOOR_ADDRESS_SIZE];
    kj__door_read_peer(peer, address);
    KJ__COUNT(door->options.counters, connections_over_limit);
    kj__log_limited(&limit, KJ__LOG_WARNING, "http",
                    "a connection of %s was closed before it was served: too many wait; see the "
                    "limits handshakes (--limit-handshakes) and handshakes_per_address "
                    "(--limit-handshakes-per-address)",
                    address);
    close(fd);
}

/* Of the descriptors that sessions leave, a quarter stays to connections that need not wait. */
static bool may_wait(const struct kj__door *door, const struct kj__door_address *of)
{
    const struct kj__door_options *options = &door->options;
    const struct kj__counters *counters = options->counters;
    uint64_t sessions = atomic_load_explicit(&counters->sessions, memory_order_relaxed) +
                        atomic_load_explicit(&counters->gateway_clients, memory_order_relaxed);
    uint64_t left = sessions < options->room ? options->room - sessions : 0;
    bool has_room = door->waiting_count < options->waiting_always ||
                    door->waiting_count < left / 4 * 3;
    return has_room && door->waiting_count < options->waiting && of->waiting < options->per_address;
}

/* Lock held. NULL when it may not wait, or cannot. */
static struct waiting *make_waiting(struct kj__door *door, const char *address)
{
    struct kj__door_address *of = kj__door_address_get(&door->addresses, address);
    struct waiting *waiting = of && may_wait(door, of) ? malloc(sizeof *waiting) : NULL;
    if (waiting) {
        *waiting = (struct waiting){.of = of};
        kj__list_init(&waiting->link);
        kj__list_init(&waiting->held_link);
        of->waiting++;
    }
    kj__door_address_let_go(&door->addresses, of);
    return waiting;
}

/* False when it may not; its socket is left to the caller. */
static bool let_wait(struct kj__door *door, int fd, const struct sockaddr_storage *peer,
                     socklen_t peer_len)
{
    char address[KJ__DOOR_ADDRESS_SIZE];
    kj__door_read_peer(peer, address);
    pthread_mutex_lock(&door->lock);
    struct waiting *waiting = make_waiting(door, address);
    pthread_mutex_unlock(&door->lock);
    if (!waiting) {
        return false;
    }
    waiting->fd = fd;
    waiting->peer = *peer;
    waiting->peer_len = peer_len;
    waiting->deadline_ms = kj__clock_monotonic_ms() + door->options.head_timeout_ms;
    if (kj__list_is_empty(&door->waiting) && !door->is_paused) {
        arm_timer(door, waiting->deadline_ms);
    }
    kj__list_append(&door->waiting, &waiting->link);
    door->waiting_count++;
    KJ__COUNT(door->options.counters, connections_waiting);
    struct epoll_event event = {.events = WAITING_EVENTS, .data.ptr = waiting};
    if (epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        forget(door, waiting);
        return false;
    }
    return true;
}

/* ---- accepting ---- */

static void set_paused(struct kj__door *door, bool is_paused)
{
    struct epoll_event event = {.events = is_paused ? 0 : EPOLLIN, .data.ptr = &door->listener};
    door->is_paused = is_paused;
    epoll_ctl(door->epoll_fd, EPOLL_CTL_MOD, door->listener, &event);
    event.data.ptr = &door->unix_listener;
    epoll_ctl(door->epoll_fd, EPOLL_CTL_MOD, door->unix_listener, &event); /* -1: nothing happens */
    if (is_paused) {
        arm_timer(door, kj__clock_monotonic_ms() + PAUSE_MS);
    }
}

static void note_failure(struct kj__door *door, int listener)
{
    if (errno == EINVAL) { /* the door is shut */
        epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, listener, NULL);
        return;
    }
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) {
        return; /* the peer was gone already */
    }
    static struct kj__log_limit limit;
    KJ__COUNT(door->options.counters, accepts_failed);
    kj__log_limited(&limit, KJ__LOG_ERROR, "http",
                    "no descriptor is free for a connection; raise the limit of open files "
                    "(ulimit -n) or lower the limit sessions (--limit-sessions)");
    set_paused(door, true);
}

/* Accepts until one has its request there already, which is taken. */
static void take_new(struct kj__door *door, int listener, struct taken *taken)
{
    for (int i = 0; i < ROUND_EVENTS; i++) {
        struct sockaddr_storage *peer = &taken->peer;
        taken->peer_len = sizeof *peer;
        int fd = accept4(listener, (struct sockaddr *)peer, &taken->peer_len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            note_failure(door, listener);
            break;
        }
        if (listener == door->unix_listener) { /* from KJ__DOOR_UNIX_ADDRESS */
            *(struct sockaddr_in *)peer = (struct sockaddr_in){.sin_family = AF_INET};
            taken->peer_len = sizeof(struct sockaddr_in);
        }
        KJ__COUNT(door->options.counters, connections);
        enum kj__door_look look = kj__door_look_at(fd, door->options.is_tls);
        taken->is_handshake = look == KJ__DOOR_HANDSHAKE;
        if (taken->is_handshake || (look == KJ__DOOR_WHOLE && !has_its_share(door, peer))) {
            taken->fd = fd;
            break;
        }
        /* One that might be held waits like others. */
        if (look != KJ__DOOR_OVER && !let_wait(door, fd, peer, taken->peer_len)) {
            refuse(door, fd, peer);
        }
        if (look == KJ__DOOR_OVER) {
            close(fd);
        }
    }
}

/* Takes the connection if its request is complete now. */
static void take_waiting(struct kj__door *door, struct waiting *waiting, uint32_t events,
                         struct taken *taken)
{
    /* Reset: nobody would read an answer. */
    enum kj__door_look look = events & (EPOLLHUP | EPOLLERR)
                                  ? KJ__DOOR_OVER
                                  : kj__door_look_at(waiting->fd, door->options.is_tls);
    if (look == KJ__DOOR_WHOLE && hold(door, waiting)) {
        return;
    }
    if (look == KJ__DOOR_WHOLE || look == KJ__DOOR_HANDSHAKE) {
        *taken = (struct taken){.fd = waiting->fd,
                                .is_handshake = look == KJ__DOOR_HANDSHAKE,
                                .peer = waiting->peer,
                                .peer_len = waiting->peer_len};
        forget(door, waiting);
    } else if (look == KJ__DOOR_OVER || events & EPOLLRDHUP) {
        end_waiting(door, waiting);
    }
}

/* It is not late: others are. One that was called may have failed: this calls the next. */
static void put_off(struct kj__door *door, struct waiting *waiting, uint64_t now_ms)
{
    kj__list_unlink(&waiting->link);
    kj__list_append(&door->waiting, &waiting->link);
    waiting->deadline_ms = now_ms + door->options.head_timeout_ms;
    pthread_mutex_lock(&door->lock);
    kj__door_call_next(door, waiting->of);
    pthread_mutex_unlock(&door->lock);
}

static void on_timer(struct kj__door *door)
{
    uint64_t ignored;
    ssize_t got = read(door->timer_fd, &ignored, sizeof ignored);
    (void)got;
    if (door->is_paused) {
        set_paused(door, false);
    }
    uint64_t now = kj__clock_monotonic_ms();
    while (!kj__list_is_empty(&door->waiting)) {
        struct waiting *first = KJ__CONTAINER_OF(door->waiting.next, struct waiting, link);
        if (first->deadline_ms > now) {
            arm_timer(door, first->deadline_ms);
            return;
        }
        if (first->is_whole) {
            put_off(door, first, now);
        } else {
            KJ__COUNT(door->options.counters, heads_too_slow);
            end_waiting(door, first);
        }
    }
}

/* False when there is none for now. */
static bool take_any(struct kj__door *door, struct taken *taken)
{
    for (int i = 0; i < ROUND_EVENTS; i++) {
        struct epoll_event event;
        if (epoll_wait(door->epoll_fd, &event, 1, 0) <= 0) {
            break;
        }
        taken->fd = -1;
        if (event.data.ptr == &door->listener) {
            take_new(door, door->listener, taken);
        } else if (event.data.ptr == &door->unix_listener) {
            take_new(door, door->unix_listener, taken);
        } else if (event.data.ptr == &door->timer_fd) {
            on_timer(door);
        } else if (event.data.ptr == &door->wake_fd) {
            break;
        } else {
            take_waiting(door, event.data.ptr, event.events, taken);
        }
        if (taken->fd >= 0 &&
            kj__door_note_served(door, taken->fd, &taken->peer, taken->is_handshake)) {
            return true;
        }
        if (taken->fd >= 0) {
            close(taken->fd);
        }
    }
    return false;
}

static struct kj__door *find_door(int number)
{
    struct kj__door *found = NULL;
    pthread_mutex_lock(&doors_lock);
    for (struct kj__list *link = doors.next; link != &doors; link = link->next) {
        struct kj__door *door = KJ__CONTAINER_OF(link, struct kj__door, link);
        if (door->number == number) {
            found = door;
        }
    }
    pthread_mutex_unlock(&doors_lock);
    return found;
}

/* civetweb asks until there is none, and the listening socket may block. */
static int accept_without_door(int listener, struct sockaddr *address, socklen_t *len)
{
    struct pollfd wanted = {.fd = listener, .events = POLLIN};
    if (poll(&wanted, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return accept4(listener, address, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int kj__door_accept(int fd, struct sockaddr *address, socklen_t *len)
{
    struct kj__door *door = find_door(fd);
    if (!door) {
        return accept_without_door(fd, address, len);
    }
    struct taken taken;
    memset(&taken, 0, sizeof taken);
    if (!take_any(door, &taken)) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(address, &taken.peer, taken.peer_len < *len ? taken.peer_len : *len);
    *len = taken.peer_len;
    return taken.fd;
}

/* ---- life ---- */

void kj__door_init(struct kj__door *door)
{
    *door = (struct kj__door){
        .number = -1,
        .listener = -1,
        .unix_listener = -1,
        .epoll_fd = -1,
        .timer_fd = -1,
        .wake_fd = -1,
    };
    kj__list_init(&door->link);
    kj__list_init(&door->waiting);
    kj__map_init(&door->addresses);
    pthread_mutex_init(&door->lock, NULL);
}

/* Without DEFER_ACCEPT, a connection that asks at once would mostly come a moment before its
 * request and wait here first. */
static void prepare_listener(int fd)
{
    int seconds = DEFER_SECONDS;
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static bool watch(struct kj__door *door, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    return epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void close_own(struct kj__door *door)
{
    int *own[] = {&door->listener, &door->epoll_fd, &door->timer_fd, &door->wake_fd};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (*own[i] >= 0) {
            close(*own[i]);
            *own[i] = -1;
        }
    }
}

bool kj__door_open(struct kj__door *door, int listening_fd, const struct kj__door_options *options)
{
    door->options = *options;
    door->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    door->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    door->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->listener = fcntl(listening_fd, F_DUPFD_CLOEXEC, 0);
    if (door->epoll_fd < 0 || door->timer_fd < 0 || door->wake_fd < 0 || door->listener < 0 ||
        !watch(door, door->listener, &door->listener) ||
        !watch(door, door->timer_fd, &door->timer_fd) ||
        !watch(door, door->wake_fd, &door->wake_fd)) {
        close_own(door);
        return false;
    }
    prepare_listener(door->listener);
    door->number = listening_fd;
    pthread_mutex_lock(&doors_lock);
    kj__list_append(&doors, &door->link);
    pthread_mutex_unlock(&doors_lock);
    /* civetweb waits on the old socket until its next look, which is a connection or 2 s later. */
    dup3(door->epoll_fd, listening_fd, O_CLOEXEC);
    return true;
}

bool kj__door_add_unix(struct kj__door *door, int listening_fd)
{
    door->unix_listener = listening_fd; /* before the accepting thread can hear of it */
    return watch(door, listening_fd, &door->unix_listener);
}

void kj__door_wake(struct kj__door *door)
{
    if (door->listener >= 0) {
        uint64_t one = 1;
        /* civetweb closes its number soon, and another door may get it. */
        pthread_mutex_lock(&doors_lock);
        door->number = -1;
        pthread_mutex_unlock(&doors_lock);
        ssize_t ignored = write(door->wake_fd, &one, sizeof one); /* and never read */
        (void)ignored;
    }
}

void kj__door_fini(struct kj__door *door)
{
    if (door->listener >= 0) {
        pthread_mutex_lock(&doors_lock);
        kj__list_unlink(&door->link);
        pthread_mutex_unlock(&doors_lock);
    }
    while (!kj__list_is_empty(&door->waiting)) {
        end_waiting(door, KJ__CONTAINER_OF(door->waiting.next, struct waiting, link));
    }
    close_own(door);
    kj__map_fini(&door->addresses, free);
    free(door->served);
    pthread_mutex_destroy(&door->lock);
}
