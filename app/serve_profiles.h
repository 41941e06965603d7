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

#include <kujata/accounts.h>
#include <kujata/counter.h>
#include <kujata/server.h>
#include <stdbool.h>
#include <stddef.h>

struct serve_settings;

/* Where a profile listens for connections that are no HTTP. */
struct profile_stream {
    const char *listen; /* ADDR:PORT */
    bool tls;
};

/* Of the node. */
struct profile_parts {
    struct kj_server *server;
    struct kj_accounts *accounts; /* NULL: none */
};

/* What a profile starts with; for the time of the call. */
struct profile_context {
    const char *command; /* for options_fail */
    struct kj_server *server;
    struct kj_accounts *accounts; /* NULL: none */
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
    /* What it needs of the rest, where the command line does not say otherwise; before any of it is
     * made. NULL: nothing. */
    void (*prepare)(struct serve_settings *settings);
    /* Mounts it, and adds its routes, before the server starts. Returns an exit status; a fault is
     * told on stderr. `*state` is for stop, also after a failure. */
    int (*start)(const struct profile_context *context, void **state);
    void (*stop)(void *state); /* after the server is gone; not called for NULL */
    /* What it counts itself; NULL: nothing.                            [any thread] */
    void (*read_counters)(void *state, kj_counter_visit visit, void *ctx);
};

extern const struct profile profile_chat, profile_gochat, profile_goim, profile_gopush,
    profile_healing, profile_live, profile_native;

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

/* Finds those that were asked for, and prepares the settings for them. Returns an exit status; a
 * fault is told on stderr. */
int profiles_choose(struct profiles *profiles, const char *command,
                    struct serve_settings *settings);

/* Starts them. Returns an exit status; a fault is told on stderr. */
int profiles_start(struct profiles *profiles, const char *command, struct serve_settings *settings,
                   const struct profile_parts *parts);

/* A kj_counter_source's function, its ctx the profiles: what they count. */
void profiles_read_counters(void *ctx, kj_counter_visit visit, void *visit_ctx);

/* A line on stdout for each stream that is listened to. */
void profiles_print_streams(const struct profiles *profiles, const struct kj_server *server);

void profiles_stop(struct profiles *profiles);

#endif
