/* fixture.h - a REST server without sockets: a model like elemental's test model, a store in
 * memory, and exchanges with them.
 */
#ifndef REST_FIXTURE_H
#define REST_FIXTURE_H

#include "rest/api.h"

#include <kujata/kujata.h>

enum { FIXTURE_EVENTS_MAX = 16 };

struct fixture {
    struct kj_model *model;
    struct kj_store *store;
    struct kj__api api; /* publishes to `events`; no processor is registered */
    struct kj__counters counters;

    struct kj__http_response response; /* to the latest request */
    struct kj__buffer body;            /* of it, ended by a NUL that is not counted */
    char *headers;                     /* of it: "Name: value\n" each */

    struct kj_event *events[FIXTURE_EVENTS_MAX]; /* a reference each */
    size_t event_count;
};

/* list, task and user; tasks belong to lists, and users may be listed under one. */
struct kj_model *fixture_model(void);

void fixture_init(struct fixture *fixture);
void fixture_fini(struct fixture *fixture);

/* Serves every identity from the store. */
void fixture_serve_store(struct fixture *fixture);

/* Serves lists with one function for every operation. */
void fixture_serve_with(struct fixture *fixture, kj_process function, void *ctx);

/* POST /v/1/lists with a name and a secret. */
void fixture_create_list(struct fixture *fixture);

/* `target` is a path with an optional query, `headers` lines "Name: value\n". */
void fixture_send_bytes(struct fixture *fixture, const char *method, const char *target,
                        const char *headers, const void *body, size_t len);
void fixture_send(struct fixture *fixture, const char *method, const char *target,
                  const char *json);

/* The body's text. */
const char *fixture_text(const struct fixture *fixture);

/* The value of a header, or NULL. */
const char *fixture_header(const struct fixture *fixture, const char *name);

/* The body as JSON; the caller owns it. */
json_t *fixture_json(const struct fixture *fixture);

/* A member of the first element of an error array, as text; lives until the next call. */
const char *fixture_error(const struct fixture *fixture, const char *member);

/* Creates an object and leaves its ID. */
void fixture_create(struct fixture *fixture, const char *target, const char *json,
                    char id[KJ_OBJECT_ID_SIZE]);

#endif
