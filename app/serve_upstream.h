/* serve_upstream.h - who answers what the native protocol does not know, as the command line of
 * `kujata serve` says. */
#ifndef KUJATA_APP_SERVE_UPSTREAM_H
#define KUJATA_APP_SERVE_UPSTREAM_H

#include "options.h"

#include <kujata/upstream.h>

struct upstream_settings {
    struct kj_upstream_options options;
    const char *token_file;
};

/* Adds the flags. */
void upstream_add_options(struct upstream_settings *settings, struct option_table *table);

/* NULL where none is asked for. Returns an exit status; a fault is told on stderr. */
int upstream_make(const char *command, const struct upstream_settings *settings,
                  struct kj_upstream **upstream);

#endif
