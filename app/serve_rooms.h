/* serve_rooms.h - the clients, rooms and users of `kujata serve`, as the command line says. */
#ifndef KUJATA_APP_SERVE_ROOMS_H
#define KUJATA_APP_SERVE_ROOMS_H

#include "options.h"

#include <kujata/native.h>
#include <kujata/server.h>

struct rooms_settings {
    bool is_wanted;   /* the profile native is */
    const char *path; /* NULL: /connect */
    int users;        /* an enum kj_user_policy */
    struct kj_native_options native;
};

/* Adds the flags. */
void rooms_add_options(struct rooms_settings *settings, struct kj_server_options *server,
                       struct option_table *table);

/* Mounts the protocol. Returns an exit status; a fault is told on stderr. */
int rooms_make(const char *command, struct rooms_settings *settings, struct kj_server *server,
               struct kj_native **native);

#endif
