/* serve_profiles.c - see serve_profiles.h. */
#include "serve_profiles.h"

#include "serve_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct profile *const known[] = {
    &profile_native,
    &profile_live,
};

enum { KNOWN_COUNT = sizeof known / sizeof *known };

_Static_assert((int)KNOWN_COUNT <= (int)PROFILES_MAX, "every profile may be chosen");

void profiles_add_options(struct profiles_settings *settings, struct option_table *table)
{
    int len = snprintf(settings->help, sizeof settings->help, "what clients may speak; repeatable");
    for (size_t i = 0; i < KNOWN_COUNT && (size_t)len < sizeof settings->help; i++) {
        len += snprintf(settings->help + len, sizeof settings->help - (size_t)len,
                        "\n      %-12s %s", known[i]->name, known[i]->summary);
    }
    const struct option rows[] = {
        {OPTION("--profile", OPTION_LIST, &settings->names, "NAME", settings->help)},
        {OPTION("--tcp", OPTION_LIST, &settings->tcp, "[NAME=]ADDR:PORT",
                "where a profile is spoken without HTTP; repeatable")},
        {OPTION("--tcp-tls", OPTION_LIST, &settings->tcp_tls, "[NAME=]ADDR:PORT",
                "the same over TLS")},
    };
    OPTIONS_ADD(table, "profiles", rows);
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (known[i]->add_options) {
            known[i]->add_options(table);
        }
    }
}

static const struct profile *find_known(const char *name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(known[i]->name, name) == 0) {
            return known[i];
        }
    }
    return NULL;
}

static int fail_unknown(const char *command, const char *name)
{
    char names[256] = "";
    int len = 0;
    for (size_t i = 0; i < KNOWN_COUNT && (size_t)len < sizeof names; i++) {
        len += snprintf(names + len, sizeof names - (size_t)len, "%s%s", i ? ", " : "",
                        known[i]->name);
    }
    return options_fail(EXIT_USAGE, command, "--profile: there is no \"%s\"; there are: %s", name,
                        names);
}

static void choose(struct profiles *profiles, const struct profile *profile)
{
    for (size_t i = 0; i < profiles->count; i++) {
        if (profiles->chosen[i].profile == profile) {
            return;
        }
    }
    profiles->chosen[profiles->count++].profile = profile;
}

/* ---- streams ---- */

/* The chosen profile with streams of this name; of no name, the only one. */
static struct chosen_profile *find_streaming(struct profiles *profiles, const char *name,
                                             size_t name_len)
{
    struct chosen_profile *found = NULL;
    for (size_t i = 0; i < profiles->count; i++) {
        struct chosen_profile *chosen = &profiles->chosen[i];
        bool is_meant = !name || (strlen(chosen->profile->name) == name_len &&
                                  strncmp(chosen->profile->name, name, name_len) == 0);
        if (chosen->profile->has_streams && is_meant) {
            if (found) {
                return NULL;
            }
            found = chosen;
        }
    }
    return found;
}

static int add_streams(struct profiles *profiles, const char *command, const char *flag,
                       const struct text_list *list, bool tls)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        const char *equals = strchr(item, '=');
        struct chosen_profile *chosen = find_streaming(profiles, equals ? item : NULL,
                                                       equals ? (size_t)(equals - item) : 0);
        if (!chosen) {
            return options_fail(EXIT_USAGE, command,
                                "%s: \"%s\" must name the one profile asked for that is spoken "
                                "without HTTP: NAME=ADDR:PORT",
                                flag, item);
        }
        if (chosen->stream_count == PROFILE_STREAMS_MAX) {
            return options_fail(EXIT_USAGE, command, "%s: at most %d for one profile", flag,
                                PROFILE_STREAMS_MAX);
        }
        chosen->streams[chosen->stream_count++] = (struct profile_stream){
            .listen = equals ? equals + 1 : item, .tls = tls};
    }
    return EXIT_SUCCESS;
}

int profiles_choose(struct profiles *profiles, const char *command,
                    const struct serve_settings *settings)
{
    const struct profiles_settings *asked = &settings->profiles;
    if (settings->rooms.is_wanted) {
        choose(profiles, &profile_native);
    }
    for (size_t i = 0; i < asked->names.count; i++) {
        const struct profile *profile = find_known(asked->names.items[i]);
        if (!profile) {
            return fail_unknown(command, asked->names.items[i]);
        }
        choose(profiles, profile);
    }
    int exit_status = add_streams(profiles, command, "--tcp", &asked->tcp, false);
    return exit_status ? exit_status
                       : add_streams(profiles, command, "--tcp-tls", &asked->tcp_tls, true);
}

/* ---- running them ---- */

int profiles_start(struct profiles *profiles, const char *command, struct serve_settings *settings,
                   struct kj_server *server)
{
    for (size_t i = 0; i < profiles->count; i++) {
        struct chosen_profile *chosen = &profiles->chosen[i];
        const struct profile_context context = {.command = command,
                                                .server = server,
                                                .settings = settings,
                                                .streams = chosen->streams,
                                                .stream_count = chosen->stream_count};
        int exit_status = chosen->profile->start(&context, &chosen->state);
        if (exit_status) {
            return exit_status;
        }
    }
    return EXIT_SUCCESS;
}

void profiles_stop(struct profiles *profiles)
{
    for (size_t i = profiles->count; i > 0; i--) {
        struct chosen_profile *chosen = &profiles->chosen[i - 1];
        if (chosen->state) {
            chosen->profile->stop(chosen->state);
        }
    }
}
