/* door_served.c - see door_served.h. */
#include "http/door_served.h"

#include <stdlib.h>

enum { SERVED_FIRST_CAPACITY = 64 };

/* Lock held. */
static struct kj__door_served *add_served(struct kj__door *door)
{
    if (door->served_count == door->served_capacity) {
        size_t capacity = door->served_capacity ? door->served_capacity * 2 : SERVED_FIRST_CAPACITY;
        struct kj__door_served *served = realloc(door->served, capacity * sizeof *served);
        if (!served) {
            return NULL;
        }
        door->served = served;
        door->served_capacity = capacity;
    }
    KJ__COUNT(door->options.counters, connections_served);
    return &door->served[door->served_count++];
}

bool kj__door_note_served(struct kj__door *door, int fd, const struct sockaddr_storage *peer,
                          bool is_handshake)
{
    struct kj__door_served made = {.fd = fd};
    char address[KJ__DOOR_ADDRESS_SIZE];
    pthread_mutex_lock(&door->lock);
    if (!is_handshake) {
        kj__door_read_peer(peer, address);
        made.of = kj__door_address_get(&door->addresses, address);
    }
    bool has_memory = made.of || is_handshake;
    struct kj__door_served *served = has_memory ? add_served(door) : NULL;
    if (served) {
        *served = made;
    }
    if (served && made.of) {
        made.of->served++;
    } else if (made.of) {
        kj__door_call_next(door, made.of); /* this one may have been called */
    }
    kj__door_address_let_go(&door->addresses, made.of);
    pthread_mutex_unlock(&door->lock);
    return served != NULL;
}

void kj__door_leave(struct kj__door *door, int fd)
{
    size_t at = 0;
    pthread_mutex_lock(&door->lock);
    while (at < door->served_count && door->served[at].fd != fd) {
        at++;
    }
    if (at < door->served_count) {
        struct kj__door_address *of = door->served[at].of;
        door->served[at] = door->served[--door->served_count];
        KJ__UNCOUNT(door->options.counters, connections_served);
        if (of) {
            of->served--;
            kj__door_call_next(door, of);
        }
        kj__door_address_let_go(&door->addresses, of);
    }
    pthread_mutex_unlock(&door->lock);
}

bool kj__door_spare(struct kj__door *door, int fd)
{
    pthread_mutex_lock(&door->lock);
    bool is_spared = !door->has_hung_up;
    for (size_t i = 0; i < door->served_count; i++) {
        door->served[i].is_spared |= door->served[i].fd == fd;
    }
    pthread_mutex_unlock(&door->lock);
    return is_spared;
}

void kj__door_hang_up(struct kj__door *door)
{
    pthread_mutex_lock(&door->lock);
    door->has_hung_up = true;
    for (size_t i = 0; i < door->served_count; i++) {
        if (!door->served[i].is_spared) {
            shutdown(door->served[i].fd, SHUT_RD);
        }
    }
    pthread_mutex_unlock(&door->lock);
}

void kj__door_on_close(struct kj__door *door, const struct mg_connection *connection)
{
#if KJ__OWN_CIVETWEB
    kj__door_leave(door, kj__civetweb_socket(connection));
#else
    (void)door, (void)connection; /* there is no door */
#endif
}

bool kj__door_is_crowded(struct kj__door *door, const char *address)
{
    pthread_mutex_lock(&door->lock);
    const struct kj__door_address *of = kj__door_address_find(&door->addresses, address);
    bool is_crowded = door->served_count * 4 >= (size_t)door->options.workers * 3 ||
                      (of && of->served * 4 >= kj__door_share(door) * 3);
    pthread_mutex_unlock(&door->lock);
    return is_crowded;
}
