/* goim_requests.c - what a client that is in asks for: heartbeats, its room, its operations. */
#include "handlers/goim.h"

#include <stdlib.h>
#include <string.h>

enum { ACCEPTS_FIRST = 4 };

/* ---- operations a client accepts ---- */

/* Where it is, or would be. */
static uint32_t find_place(const struct goim_client *state, int32_t op)
{
    uint32_t low = 0;
    uint32_t high = state->accepted;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->accepts[middle] < op) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool accepts(const struct goim_client *state, int32_t op, uint32_t *at)
{
    *at = find_place(state, op);
    return *at < state->accepted && state->accepts[*at] == op;
}

static bool make_room(struct goim_client *state)
{
    if (state->accepted < state->capacity) {
        return true;
    }
    uint32_t capacity = state->capacity ? state->capacity * 2 : ACCEPTS_FIRST;
    int32_t *grown = capacity <= KJ_GOIM_ACCEPTS_MAX
                         ? realloc(state->accepts, capacity * sizeof *grown)
                         : NULL;
    if (grown) {
        state->accepts = grown;
        state->capacity = capacity;
    }
    return grown;
}

bool goim_accept(struct goim_client *state, int32_t op)
{
    uint32_t at;
    if (accepts(state, op, &at)) {
        return true;
    }
    if (!make_room(state)) {
        return false;
    }
    memmove(&state->accepts[at + 1], &state->accepts[at],
            (state->accepted++ - at) * sizeof state->accepts[0]);
    state->accepts[at] = op;
    return true;
}

static bool forget(struct goim_client *state, int32_t op)
{
    uint32_t at;
    if (accepts(state, op, &at)) {
        memmove(&state->accepts[at], &state->accepts[at + 1],
                (--state->accepted - at) * sizeof state->accepts[0]);
    }
    return true;
}

bool goim_wants(struct kj_client *client, const struct kj_push *push, void *ctx)
{
    (void)ctx;
    uint32_t at;
    const struct goim_client *state = kj_client_data(client);
    int64_t op = kj_push_op(push);
    return !state || !state->is_choosy ||
           (op >= INT32_MIN && op <= INT32_MAX && accepts(state, (int32_t)op, &at));
}

/* Does something with each operation of a list such as 1000,1001; false for what is no list. */
static bool each_op(struct goim_client *state, const struct goim_packet *packet,
                    bool (*act)(struct goim_client *state, int32_t op))
{
    const char *at = (const char *)packet->body;
    const char *end = at + packet->len;
    bool is_list = true;
    while (is_list && at < end) {
        int64_t op = 0;
        const char *digits = at;
        for (; at < end && *at >= '0' && *at <= '9' && op <= INT32_MAX; at++) {
            op = op * 10 + (*at - '0');
        }
        is_list = at > digits && op <= INT32_MAX && (at == end || *at == ',') &&
                  act(state, (int32_t)op);
        at++;
    }
    return is_list && packet->len > 0 && packet->body[packet->len - 1] != ',';
}

static bool check_op(struct goim_client *state, int32_t op)
{
    (void)state;
    (void)op;
    return true;
}

/* The answer repeats the list, as everywhere in goim, or says what is wrong with it. */
static void change_accepts(struct kj_client *client, const struct goim_packet *packet,
                           bool (*act)(struct goim_client *state, int32_t op))
{
    struct goim_client *state = kj_client_data(client);
    const char *fault = NULL;
    if (!each_op(state, packet, check_op)) {
        fault = "this is no list of operations";
    } else if (!state->is_choosy && packet->op == GOIM_UNSUBSCRIBE) {
        fault = "every operation is accepted, so none can be left out";
    } else if (state->is_choosy && !each_op(state, packet, act)) {
        fault = "too many operations";
    }
    if (fault) {
        kj_client_count_refusal(client);
        goim_send_fault(client, packet->op + 1, packet->seq, GOIM_BAD_REQUEST, fault);
    } else {
        goim_send(client, packet->op + 1, packet->seq, packet->body, packet->len);
    }
}

/* ---- the room ---- */

bool goim_may_join(struct kj_client *client, const struct kj_goim *goim, const char *room)
{
    const struct kj_goim_options *options = &goim->options;
    return !options->may_join || options->may_join(client, room, options->ctx);
}

static void copy_room(const char *room, void *ctx)
{
    memcpy(ctx, room, strlen(room) + 1); /* valid, so it is not longer than a name */
}

/* Moves it; the old room is left first, as there is one. */
static const char *move_to(struct kj_client *client, const struct kj_goim *goim, const char *room)
{
    char left[KJ_NAME_MAX + 1] = "";
    if (*room && !kj_name_is_valid(room)) {
        return "this is no name of a room";
    }
    if (*room && !goim_may_join(client, goim, room)) {
        return "the room is not for this client";
    }
    kj_client_rooms(client, copy_room, left);
    if (*left && strcmp(left, room) != 0) {
        kj_client_leave(client, left);
    }
    return *room && kj_client_join(client, room) ? "there is no room on this server" : NULL;
}

static void change_room(struct kj_client *client, const struct kj_goim *goim,
                        const struct goim_packet *packet)
{
    char room[KJ_NAME_MAX + 1];
    const char *fault = "this is no name of a room";
    if (packet->len < sizeof room && !memchr(packet->body, '\0', packet->len)) {
        memcpy(room, packet->body, packet->len);
        room[packet->len] = '\0';
        fault = move_to(client, goim, room);
    }
    if (fault) {
        kj_client_count_refusal(client);
        goim_send_fault(client, packet->op + 1, packet->seq, GOIM_BAD_REQUEST, fault);
    } else {
        goim_send(client, packet->op + 1, packet->seq, packet->body, packet->len);
    }
}

/* How many are in its room is what the answer says. */
static void answer_heartbeat(struct kj_client *client, const struct kj_goim *goim,
                             const struct goim_packet *packet)
{
    char room[KJ_NAME_MAX + 1] = "";
    uint64_t count = 0;
    if (kj_client_rooms(client, copy_room, room) > 0) {
        count = goim_count_room(goim, kj_client_gateway(client), room);
    }
    const uint8_t body[] = {(uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8),
                            (uint8_t)count};
    goim_send(client, GOIM_HEARTBEAT_REPLY, packet->seq, body, sizeof body);
}

void goim_serve(struct kj_client *client, const struct kj_goim *goim,
                const struct goim_packet *packet)
{
    switch (packet->op) {
    case GOIM_HEARTBEAT:
        answer_heartbeat(client, goim, packet);
        break;
    case GOIM_CHANGE_ROOM:
        change_room(client, goim, packet);
        break;
    case GOIM_SUBSCRIBE:
        change_accepts(client, packet, goim_accept);
        break;
    case GOIM_UNSUBSCRIBE:
        change_accepts(client, packet, forget);
        break;
    case GOIM_AUTH:
        kj_client_count_refusal(client);
        goim_send_fault(client, GOIM_AUTH_REPLY, packet->seq, GOIM_BAD_REQUEST,
                        "this client is in already");
        break;
    default:
        if (goim->options.on_data) {
            goim->options.on_data(client, packet->op, packet->body, packet->len, goim->options.ctx);
        } else {
            kj_client_count_refusal(client);
        }
        goim_send(client, packet->op, packet->seq, NULL, 0);
        break;
    }
}
