/* serve_api.h - the API listener of `kujata serve`, as the command line says. */
#ifndef KUJATA_APP_SERVE_API_H
#define KUJATA_APP_SERVE_API_H

#include "options.h"

#include <kujata/messages.h>
#include <kujata/native.h>
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

/* What the push API keeps messages with; NULL: they are not kept. */
struct api_parts {
    struct kj_messages *messages;
    struct kj_native *native; /* as if a client had sent them */
};

/* Adds the push API to a server that has an API listener. Returns an exit status; a fault is told
 * on stderr, and the API is to be freed all the same. */
int api_make(const char *command, const struct api_parts *parts, struct kj_server *server,
             struct kj_push_api **api);

void api_free_keys(struct api_settings *settings);

#endif
