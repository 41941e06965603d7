/* gochat_ping.c - a thread that pings the clients on TCP.
 *
 * They are in a room of their own, of this node, in which a ping is one push. So they hear of the
 * node while nothing else comes, and one whose machine is gone is found out by its kernel.
 */
#include "handlers/gochat.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PING_OP = 0x70696e67, NAME_SIZE = 40, MS_PER_S = 1000, NS_PER_MS = 1000000 };

static const char room_prefix[] = "gochat ping ";

static void write_room(const struct kj_gateway *gateway, char name[NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "%s%x", room_prefix, (unsigned)kj_gateway_node(gateway));
}

bool gochat_is_ping(const struct kj_push *push)
{
    return kj_push_op(push) == PING_OP && kj_push_kind(push) == KJ_TOPIC_ROOM &&
           strncmp(kj_push_name(push), room_prefix, strlen(room_prefix)) == 0;
}

/* Lock held: the gateway is there while one of its clients is. Publishing never blocks. */
static void ping(struct kj_gochat *gochat)
{
    char room[NAME_SIZE];
    write_room(gochat->pinged, room);
    enum kj_status status = kj_gateway_publish(
        gochat->pinged,
        &(struct kj_push_options){.kind = KJ_TOPIC_ROOM, .name = room, .op = PING_OP}, NULL);
    atomic_fetch_add(status ? &gochat->counters.failed : &gochat->counters.pings, 1);
}

static struct timespec time_of_next(const struct kj_gochat *gochat)
{
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    next.tv_sec += gochat->options.ping_ms / MS_PER_S;
    next.tv_nsec += (long)(gochat->options.ping_ms % MS_PER_S) * NS_PER_MS;
    if (next.tv_nsec >= (long)MS_PER_S * NS_PER_MS) {
        next.tv_sec++;
        next.tv_nsec -= (long)MS_PER_S * NS_PER_MS;
    }
    return next;
}

static void *run(void *ctx)
{
    struct kj_gochat *gochat = ctx;
    pthread_mutex_lock(&gochat->lock);
    while (!gochat->is_stopping) {
        struct timespec next = time_of_next(gochat);
        while (!gochat->is_stopping &&
               pthread_cond_timedwait(&gochat->changed, &gochat->lock, &next) == 0) {
        }
        if (!gochat->is_stopping && gochat->pinged) {
            ping(gochat);
        }
    }
    pthread_mutex_unlock(&gochat->lock);
    return NULL;
}

bool gochat_pings_start(struct kj_gochat *gochat)
{
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&gochat->changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&gochat->lock, NULL);
    if (pthread_create(&gochat->pinger, NULL, run, gochat) == 0) {
        return true;
    }
    pthread_mutex_destroy(&gochat->lock);
    pthread_cond_destroy(&gochat->changed);
    return false;
}

void gochat_pings_stop(struct kj_gochat *gochat)
{
    pthread_mutex_lock(&gochat->lock);
    gochat->is_stopping = true;
    pthread_cond_signal(&gochat->changed);
    pthread_mutex_unlock(&gochat->lock);
    pthread_join(gochat->pinger, NULL);
    pthread_mutex_destroy(&gochat->lock);
    pthread_cond_destroy(&gochat->changed);
}

void gochat_pings_add(struct kj_gochat *gochat, struct kj_client *client)
{
    char room[NAME_SIZE];
    struct kj_gateway *gateway = kj_client_gateway(client);
    write_room(gateway, room);
    /* One that cannot join hears no pings, and all else. */
    (void)kj_client_join(client, room);
    pthread_mutex_lock(&gochat->lock);
    gochat->pinged = gateway;
    gochat->streams++;
    pthread_mutex_unlock(&gochat->lock);
}

void gochat_pings_remove(struct kj_gochat *gochat)
{
    pthread_mutex_lock(&gochat->lock);
    gochat->streams--;
    if (gochat->streams == 0) {
        gochat->pinged = NULL;
    }
    pthread_mutex_unlock(&gochat->lock);
}
