/* push_api.h - the parts of the push API: see kujata/push_api.h. */
#ifndef KJ_HANDLERS_PUSH_API_H
#define KJ_HANDLERS_PUSH_API_H

#include <kujata/push_api.h>
#include <kujata/route.h>
#include <stdbool.h>

struct kj_push_api {
    struct kj_push_api_options options; /* every default filled in */
    struct kj_server *server;           /* NULL: the routes were not added */
};

/* What a request is refused with. */
struct push_fault {
    int status; /* 0: there is none */
    char text[KJ_ERROR_TEXT_MAX];
};

/* False, with the fault filled in. */
__attribute__((format(printf, 3, 4))) bool push_fail(struct push_fault *fault, int status,
                                                     const char *format, ...);

/* The same for a status of the gateway. */
bool push_fail_with(struct push_fault *fault, enum kj_status status);

/* Answers it; one who came too early is told when to come again. */
void push_refuse(struct kj_exchange *exchange, const struct push_fault *fault);

/* The gateway and the body, a JSON object, of a request; false once it was refused. */
bool push_begin(const struct kj_push_api *api, struct kj_exchange *exchange,
                struct kj_gateway **gateway, const json_t **body);

/* Answers with a value, whose reference it takes; NULL is for want of memory. */
void push_answer_take(struct kj_exchange *exchange, int status, json_t *value);

/* Whether an object has no other members than these, NULL at the end. */
bool push_check_members(const json_t *object, const char *const *names, struct push_fault *fault);

/* ---- whom it is for ---- */

struct push_target {
    enum kj_topic_kind kind;
    json_t *names; /* an object with a member for each, none twice; of "all" just "" */
};

/* Reads "to". False with a fault; the target is to be released in any case. */
bool push_read_target(const struct kj_push_api *api, const json_t *to, struct push_target *target,
                      struct push_fault *fault);
void push_release_target(struct push_target *target);

/* Adds the valid names of a list to an object. */
bool push_read_names(const struct kj_push_api *api, const json_t *list, enum kj_topic_kind kind,
                     json_t *names, struct push_fault *fault);

/* ---- pushes ---- */

struct push_item {
    uint8_t *bytes;
    size_t len;
};

struct push_request {
    struct push_target target;
    struct push_item *items;
    size_t item_count;
    bool has_bytes;   /* they are no JSON */
    const char *from; /* NULL: nobody in particular */
    int64_t op;
    uint32_t speed, ttl_s;
    bool at_once;
};

/* False with a fault; the request is to be released in any case. */
bool push_read(const struct kj_push_api *api, const json_t *body, struct push_request *request,
               struct push_fault *fault);
void push_release(struct push_request *request);

/* ---- the routes ---- */

void push_handle_push(struct kj_exchange *exchange, void *ctx);
void push_handle_batch(struct kj_exchange *exchange, void *ctx);
void push_handle_kick(struct kj_exchange *exchange, void *ctx);
void push_handle_online(struct kj_exchange *exchange, void *ctx);
void push_handle_online_many(struct kj_exchange *exchange, void *ctx);
void push_handle_history(struct kj_exchange *exchange, void *ctx);
void push_handle_stats(struct kj_exchange *exchange, void *ctx);

#endif
