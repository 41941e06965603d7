/* serve_api.h - the API listener of `kujata serve`, as the command line says. */
#ifndef KUJATA_APP_SERVE_API_H
#define KUJATA_APP_SERVE_API_H

#include "options.h"

#include <kujata/push_api.h>
#include <kujata/server.h>

struct api_settings {
    struct text_list keys;
    const char *key_file;
    char *key_text; /* the file's, cut into keys; freed by api_free_keys */
};

/* Adds the flags. */
void api_add_options(struct api_settings *settings, struct kj_server_options *server,
                     struct option_table *table);

/* Enters the keys into the server's options, which borrow them until the server is made. Returns
 * an exit status; a fault is told on stderr. */
int api_read_keys(const char *command, struct api_settings *settings,
                  struct kj_server_options *server);

/* Adds the push API to a server that has an API listener. Returns an exit status; a fault is told
 * on stderr, and the API is to be freed all the same. */
int api_make(const char *command, const struct kj_push_api_options *options,
             struct kj_server *server, struct kj_push_api **api);

void api_free_keys(struct api_settings *settings);

#endif
