/* serve_messages.h - what `kujata serve` keeps of what clients send, as the command line says. */
#ifndef KUJATA_APP_SERVE_MESSAGES_H
#define KUJATA_APP_SERVE_MESSAGES_H

#include "options.h"
#include "serve_counters.h"

#include <kujata/native.h>
#include <kujata/push_api.h>

struct messages_settings {
    const char *where; /* NULL: nothing is kept */
    uint32_t max_megabytes;
    int history; /* an index of its choices */
    bool has_no_mailboxes;
    const char *topic;        /* between nodes; NULL: the default */
    struct kj_native *native; /* which keeps them, once it is mounted; NULL: none */
    struct kj_messages_options options;
};

/* Adds the flags. */
void messages_add_options(struct messages_settings *settings, struct kj_native_options *native,
                          struct option_table *table);

/* Opens the store where that was asked for (else `*messages` is NULL), and has `native` use it. Its
 * counters are added. Returns an exit status; a fault is told on stderr. */
int messages_make(const char *command, const struct messages_settings *settings,
                  struct kj_native_options *native, struct counter_sources *counters,
                  struct kj_messages **messages);

/* Has a mounted protocol share with other nodes, where there may be any. Returns an exit status; a
 * fault is told on stderr. */
int messages_join(const char *command, struct messages_settings *settings, struct kj_native *native,
                  const struct kj_native_options *options, const struct kj_native_nodes *nodes);

/* After the server has stopped, before it is gone. */
void messages_leave(struct messages_settings *settings);

/* How the push API publishes where messages are kept: to users for ttl_s, and to rooms in their
 * history; its ctx is the settings. Zero where they are not. */
struct kj_push_api_options messages_push_options(struct messages_settings *settings);

#endif
