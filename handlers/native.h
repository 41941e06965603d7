/* native.h - what the files of the native protocol share. */
#ifndef KJ_HANDLERS_NATIVE_H
#define KJ_HANDLERS_NATIVE_H

#include <jansson.h>
#include <kujata/native.h>

struct kj_native {
    struct kj_native_options options;
};

/* A message of a client, read. */
struct native_request {
    struct kj_client *client;
    const struct kj_native *native;
    const char *type;
    json_t *id;         /* NULL: none */
    const json_t *data; /* an object, or NULL */
};

/* Why a request is refused; both static. */
struct native_fault {
    const char *code, *message;
};

/* ---- native_send.c ---- */

/* Sends {"type", "id", "data"} in the client's encoding; `id` may be NULL, `data` is taken over and
 * may be NULL. What cannot be sent closes the client. */
void native_send_take(struct kj_client *client, const char *type, json_t *id, json_t *data);

void native_refuse(const struct native_request *request, const struct native_fault *fault);

/* kj_protocol.encode. */
enum kj_status native_encode(unsigned encoding, const struct kj_push *const *pushes, size_t count,
                             struct kj_frames *frames, void *ctx);

/* ---- native_requests.c ---- */

/* Does what a request of a client asks for, and answers it. */
void native_serve(const struct native_request *request);

/* Tells a room who has come or gone, where that is told. */
void native_tell(const struct kj_native *native, const struct kj_client *client, const char *room,
                 enum kj_presence presence);

/* Takes over the user the authenticators have found; the fault, or NULL. `device` may be NULL. */
const struct native_fault *native_take_user(struct kj_client *client, const char *device);

#endif
