/* serve_accounts.h - users with passwords at `kujata serve`, as the command line says. */
#ifndef KUJATA_APP_SERVE_ACCOUNTS_H
#define KUJATA_APP_SERVE_ACCOUNTS_H

#include "options.h"

#include <kujata/accounts.h>

struct accounts_settings {
    const char *where; /* NULL: none */
    struct kj_accounts_options options;
};

/* Adds the flags. */
void accounts_add_options(struct accounts_settings *settings, struct option_table *table);

/* Makes them where that was asked for, before the server; the latter adds their routes. Each
 * returns an exit status; a fault is told on stderr. */
int accounts_make(const char *command, struct accounts_settings *settings, bool others_follow,
                  struct kj_accounts **accounts);
int accounts_serve(const char *command, struct kj_accounts *accounts, struct kj_server *server);

#endif
