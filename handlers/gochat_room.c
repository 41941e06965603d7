/* gochat_room.c - who is in a room, told as gochat does: to everybody in it.
 *
 * That is a message to each about each, so in a room of more than told_members only who asked is
 * told, and not of more than so many.
 */
#include "handlers/gochat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ID_SIZE = 24 };

size_t gochat_count(const struct kj_gochat *gochat, struct kj_gateway *gateway, const char *room)
{
    uint64_t count = 0;
    if (!gochat->options.presence) {
        return kj_gateway_member_count(gateway, KJ_TOPIC_ROOM, room);
    }
    kj_presence_room_counts(gochat->options.presence, &room, 1, &count);
    return (size_t)count;
}

/* Where it goes; false: nowhere. */
static bool choose(const struct kj_gochat *gochat, size_t members, const char *room,
                   const char *asker, struct kj_push_options *to)
{
    if (members <= gochat->options.told_members) {
        to->kind = KJ_TOPIC_ROOM;
        to->name = room;
    } else {
        to->kind = KJ_TOPIC_USER;
        to->name = asker;
    }
    return to->name != NULL;
}

enum kj_status gochat_tell_count(struct kj_gochat *gochat, struct kj_gateway *gateway, int64_t room,
                                 const char *asker)
{
    char name[GOCHAT_ROOM_SIZE];
    struct kj_push_options to = {.op = KJ_GOCHAT_OP_COUNT};
    gochat_write_room(room, name);
    size_t members = gochat_count(gochat, gateway, name);
    if (!choose(gochat, members, name, asker, &to)) {
        return KJ_OK;
    }
    return gochat_publish_take(
        gochat, gateway, &to,
        json_pack("{s:I, s:i}", "count", (json_int_t)members, "op", KJ_GOCHAT_OP_COUNT));
}

/* Some of those in a room; how many. */
static size_t list_members(const struct kj_gochat *gochat, struct kj_gateway *gateway,
                           const char *room, struct kj_member *members, size_t max)
{
    struct kj_presence_page page = {.max = max, .members = members};
    if (!gochat->options.presence) {
        return kj_gateway_members(gateway, KJ_TOPIC_ROOM, room, 0, members, max);
    }
    /* When a node does not answer in time, those of the others are there. */
    enum kj_status status = kj_presence_members(gochat->options.presence, room, &page);
    return status && status != KJ_ETIMEOUT ? 0 : page.got;
}

/* Users by their ID; who has no account is only counted. */
static json_t *make_users(struct kj_gochat *gochat, struct kj_gateway *gateway, const char *room)
{
    size_t max = gochat->options.told_members;
    struct kj_member *members = calloc(max, sizeof *members);
    json_t *users = members ? json_object() : NULL;
    size_t count = users ? list_members(gochat, gateway, room, members, max) : 0;
    for (size_t i = 0; i < count; i++) {
        char id[ID_SIZE];
        struct kj_account account;
        if (*members[i].user &&
            !kj_accounts_find(gochat->options.accounts, members[i].user, &account)) {
            (void)snprintf(id, sizeof id, "%" PRId64, account.id);
            json_object_set_new(users, id, json_string(account.name));
        }
    }
    free(members);
    return users;
}

enum kj_status gochat_tell_info(struct kj_gochat *gochat, struct kj_gateway *gateway, int64_t room,
                                const char *asker)
{
    char name[GOCHAT_ROOM_SIZE];
    struct kj_push_options to = {.op = KJ_GOCHAT_OP_INFO};
    gochat_write_room(room, name);
    size_t members = gochat_count(gochat, gateway, name);
    if (members == 0) {
        return KJ_ENOTFOUND;
    }
    if (!choose(gochat, members, name, asker, &to)) {
        return KJ_OK;
    }
    return gochat_publish_take(gochat, gateway, &to,
                               json_pack("{s:i, s:I, s:I, s:o}", "op", KJ_GOCHAT_OP_INFO, "roomId",
                                         (json_int_t)room, "count", (json_int_t)members,
                                         "roomUserInfo", make_users(gochat, gateway, name)));
}
