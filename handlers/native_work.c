/* native_work.c - requests that wait for a disk: on a thread beside the shards, and answered on the
 * client's shard. Those of one client are done in the order they came. */
#include "handlers/native.h"

#include <stdlib.h>
#include <string.h>

enum { WORKS_MAX = 256 /* of one client, so that none takes the threads for itself */ };

static void run(void *item)
{
    struct native_work *work = item;
    work->run(work);
}

static void release(void *item)
{
    struct native_work *work = item;
    if (work->fini) {
        work->fini(work);
    }
    json_decref(work->id);
    free(work);
}

static void done(struct kj_client *client, void *item)
{
    struct native_work *work = item;
    struct native_client *own = kj_client_data(client);
    if (!own || !kj_client_is_open(client)) {
        return;
    }
    own->works--;
    const struct native_fault *fault = work->finish(client, work);
    if (fault) {
        native_refuse(&(struct native_request){.client = client, .id = work->id}, fault);
    }
}

static const struct native_fault *hand_over(const struct native_request *request,
                                            struct native_work *work)
{
    struct native_client *own = native_client_of(request->client);
    const char *user = kj_client_user(request->client);
    if (!own || own->works >= WORKS_MAX) {
        return &native_busy;
    }
    work->native = request->native;
    work->gateway = kj_client_gateway(request->client);
    work->id = json_incref(request->id);
    if (user) {
        memcpy(work->user, user, strlen(user) + 1); /* valid: not longer */
    }
    const struct kj_work given = {run, done, release, work};
    enum kj_status status = kj_client_work(request->client, &given);
    own->works += status == KJ_OK;
    return native_fault_of(status);
}

const struct native_fault *native_work_take(const struct native_request *request,
                                            struct native_work *work)
{
    const struct native_fault *fault = hand_over(request, work);
    if (fault) {
        release(work);
    }
    return fault;
}
