/* door.h - the door in front of civetweb: a connection gets a worker once its request is there.
 *
 * civetweb gives each connection a worker, which then waits for the request head; so a few
 * dozen silent connections would hold all workers. The door accepts in civetweb's place: its
 * epoll set takes the number of the listening socket, and civetweb, compiled to call
 * kj__door_accept for accept, gets connections from there whose head is whole. The others wait
 * in the set, for a descriptor and a few bytes each and for so long at most. Where civetweb is
 * the system's own and calls accept itself, there is no door.
 *
 * No address has more than three quarters of the workers, where there are at least four:
 * connections beyond that are held back here, with their request, until one of the address's is
 * done. Not so handshakes of plain websockets, which are done at once.
 *
 * Threads: a door belongs to civetweb's accepting thread; kj__door_on_close, _leave and
 * _is_crowded are for any thread.
 */
#ifndef KJ_HTTP_DOOR_H
#define KJ_HTTP_DOOR_H

#include "base/counters.h"
#include "base/list.h"
#include "base/map.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct mg_connection;

enum { KJ__HEAD_BYTES_MAX = 16384 };

struct kj__door_options {
    bool is_tls;              /* a whole ClientHello is waited for, not a head */
    uint32_t head_timeout_ms; /* to wait at most */
    uint32_t waiting;         /* connections that may wait at once */
    uint32_t room;            /* descriptors for them and for sessions: see may_wait */
    uint32_t waiting_always;  /* so many may wait whatever sessions have taken */
    uint32_t per_address;     /* the same, of one address */
    uint32_t workers;
    struct kj__counters *counters;
};

struct kj__door_served; /* a connection civetweb has; see door.c */

struct kj__door {
    struct kj__door_options options;
    struct kj__list link; /* in the list of all doors */
    int number;           /* the listening socket's, which civetweb closes; guarded by the lock
                           * of all doors; -1 at the end */
    int listener;         /* the listening socket itself; -1: there is no door */
    /* Another one, borrowed: see kj__door_add_unix; -1: none. */
    _Atomic int unix_listener;
    int epoll_fd, timer_fd, wake_fd;
    bool is_paused;          /* nothing is accepted until the timer: there was no descriptor */
    struct kj__list waiting; /* in the order of their deadlines */
    size_t waiting_count;
    pthread_mutex_t lock;
    struct kj__map addresses;       /* of those below, to a kj__door_address; guarded by lock */
    struct kj__door_served *served; /* guarded by lock, as are the numbers */
    size_t served_count, served_capacity;
    bool has_hung_up; /* guarded by lock */
};

/* No door. */
void kj__door_init(struct kj__door *door);

/* Puts a door in the place of a listening socket. False without descriptors: there is none. */
bool kj__door_open(struct kj__door *door, int listening_fd, const struct kj__door_options *options);

/* Connections of an open door may come in by this listening socket of the file system as well,
 * which does not block and outlives the door. civetweb and handlers take them for connections
 * from KJ__DOOR_UNIX_ADDRESS. False without descriptors.                  [any thread] */
bool kj__door_add_unix(struct kj__door *door, int listening_fd);

#define KJ__DOOR_UNIX_ADDRESS "0.0.0.0"

/* Makes the accepting thread look up from its wait, again and again until kj__door_fini. */
void kj__door_wake(struct kj__door *door);

/* Nobody that civetweb has is waited for any more: kept connections end as if their clients had,
 * but for those that are spared since they become sessions, whose end is not the door's. Sparing
 * one fails afterwards.                                                   [any thread] */
bool kj__door_spare(struct kj__door *door, int fd);
void kj__door_hang_up(struct kj__door *door);

/* When civetweb has stopped: ends the connections that wait. */
void kj__door_fini(struct kj__door *door);

/* As accept, for civetweb, and what it gives neither blocks nor outlives exec; all else is as the
 * listening socket has it, where cmake/civetweb.patch sets it once. EAGAIN while no request is
 * there; a number that is no door's is a listening socket. */
int kj__door_accept(int fd, struct sockaddr *address, socklen_t *len);

/* These two are in cmake/civetweb.patch. The descriptor of a connection, which stays civetweb's;
 * or, for a websocket whose 101 has left, which is the caller's from here on: civetweb has done
 * with it, and whatever it has read behind the head (*has_more) is lost. */
int kj__civetweb_socket(const struct mg_connection *connection);
int kj__civetweb_let_go(struct mg_connection *connection, int *has_more);

/* civetweb is about to close it.                                          [any thread] */
void kj__door_on_close(struct kj__door *door, const struct mg_connection *connection);
void kj__door_leave(struct kj__door *door, int fd);

/* Whether so many workers have a connection, or as many as this address may have, that none should
 * be kept for its next request.                                           [any thread] */
bool kj__door_is_crowded(struct kj__door *door, const char *address);

enum kj__door_look {
    KJ__DOOR_WHOLE,     /* civetweb can do without further bytes */
    KJ__DOOR_HANDSHAKE, /* the same, and it asks for a session */
    KJ__DOOR_PART,
    KJ__DOOR_OVER, /* the peer is gone */
};

/* What a connection has brought so far; nothing is taken from the socket. */
enum kj__door_look kj__door_look_at(int fd, bool is_tls);

/* Whether civetweb can do without further bytes: a head is whole, or no head at all. */
bool kj__door_head_is_whole(const uint8_t *bytes, size_t len);

/* Whether a whole head asks for a session: it has no body and a short answer, and so it holds no
 * worker for long. */
bool kj__door_head_is_handshake(const uint8_t *bytes, size_t len);

/* The same as for a head of the first record of a TLS handshake. */
bool kj__door_hello_is_whole(const uint8_t *bytes, size_t len);

#endif
