/* serve_presence.h - who is there over all nodes, as the command line of `kujata serve` says. */
#ifndef KUJATA_APP_SERVE_PRESENCE_H
#define KUJATA_APP_SERVE_PRESENCE_H

#include "options.h"

#include <kujata/presence.h>
#include <kujata/server.h>

struct presence_settings {
    int mode; /* auto, on or off */
    struct kj_presence_options options;
};

/* Adds the flags. */
void presence_add_options(struct presence_settings *settings, struct option_table *table);

/* Makes the board of a node with this backend, whose topics of the gateway begin with `prefix`
 * (NULL: the default); NULL where none is wanted. `is_cluster`: there may be other nodes. Returns
 * an exit status; a fault is told on stderr. */
int presence_make(const char *command, const struct presence_settings *settings,
                  struct kj_pubsub *pubsub, const char *prefix, bool is_cluster,
                  struct kj_presence_board **board);

/* Starts it, where there is one and something is mounted. */
int presence_start(const char *command, struct kj_presence_board *board, struct kj_server *server);

#endif
