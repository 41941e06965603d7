/* serve_profiles.h - what `kujata serve --profile NAME` can speak besides REST and /events.
 *
 * A profile is a protocol of gateway.h, ready made: its path, its timings, its HTTP routes. Each
 * is one file, app/profile_NAME.c, with one `const struct profile`, and a row of the table in
 * serve_profiles.c. Any number of them are spoken by one node, and their clients meet in the same
 * rooms. Origins, authenticators and limits of sessions are the server's.
 */
#ifndef KUJATA_APP_SERVE_PROFILES_H
#define KUJATA_APP_SERVE_PROFILES_H

#include "options.h"

#include <kujata/server.h>
#include <stdbool.h>
#include <stddef.h>

struct serve_settings;

/* Where a profile listens for connections that are no HTTP. */
struct profile_stream {
    const char *listen; /* ADDR:PORT */
    bool tls;
};

/* What a profile starts with; for the time of the call. */
struct profile_context {
    const char *command; /* for options_fail */
    struct kj_server *server;
    /* What the command line says; rooms.native has what all profiles go by: is_open, limits,
     * batching. */
    struct serve_settings *settings;
    const struct profile_stream *streams; /* none without --tcp */
    size_t stream_count;
};

struct profile {
    const char *name;
    const char *summary; /* a line, for people */
    bool has_streams;    /* it can be spoken without HTTP: --tcp is for it */
    /* Adds its own flags, --NAME-..., whose targets are statics of its file; NULL: none. */
    void (*add_options)(struct option_table *table);
    /* Mounts it, and adds its routes, before the server starts. Returns an exit status; a fault is
     * told on stderr. `*state` is for stop, also after a failure. */
    int (*start)(const struct profile_context *context, void **state);
    void (*stop)(void *state); /* after the server is gone; not called for NULL */
};

extern const struct profile profile_live;
extern const struct profile profile_native;

enum { PROFILES_MAX = 8, PROFILE_STREAMS_MAX = 8 };

/* What the command line says. */
struct profiles_settings {
    struct text_list names, tcp, tcp_tls;
    char help[1024];
};

/* Adds the flags, and those of every profile. */
void profiles_add_options(struct profiles_settings *settings, struct option_table *table);

struct chosen_profile {
    const struct profile *profile;
    struct profile_stream streams[PROFILE_STREAMS_MAX];
    size_t stream_count;
    void *state;
};

struct profiles {
    struct chosen_profile chosen[PROFILES_MAX];
    size_t count;
};

/* Finds those that were asked for. Returns an exit status; a fault is told on stderr. */
int profiles_choose(struct profiles *profiles, const char *command,
                    const struct serve_settings *settings);

/* Starts them. Returns an exit status; a fault is told on stderr. */
int profiles_start(struct profiles *profiles, const char *command, struct serve_settings *settings,
                   struct kj_server *server);

void profiles_stop(struct profiles *profiles);

#endif
