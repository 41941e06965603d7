/* serve_profiles.c - see serve_profiles.h. */
#include "serve_profiles.h"

#include "serve_settings.h"

#include <kujata/gateway.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct profile *const known[] = {
    &profile_goim,    &profile_native, &profile_gochat, &profile_gopush,
    &profile_healing, &profile_chat,   &profile_live,
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
                "where a profile is spoken without HTTP; repeatable"),
         .needs = {"--profile"}},
        {OPTION("--tcp-tls", OPTION_LIST, &settings->tcp_tls, "[NAME=]ADDR:PORT",
                "the same over TLS"),
         .needs = {"--profile", "--tls-cert"}},
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
        const char *listen = equals ? equals + 1 : item;
        struct chosen_profile *chosen = find_streaming(profiles, equals ? item : NULL,
                                                       equals ? (size_t)(equals - item) : 0);
        if (!chosen) {
            return options_fail(EXIT_USAGE, command,
                                "%s: \"%s\" must name the one profile asked for that is spoken "
                                "without HTTP: NAME=ADDR:PORT",
                                flag, item);
        }
        if (!options_is_address(listen)) {
            return options_fail(EXIT_USAGE, command,
                                "%s: \"%s\" is not [NAME=]ADDR:PORT, such as 127.0.0.1:3101", flag,
                                item);
        }
        if (chosen->stream_count == PROFILE_STREAMS_MAX) {
            return options_fail(EXIT_USAGE, command, "%s: at most %d for one profile", flag,
                                PROFILE_STREAMS_MAX);
        }
        chosen->streams[chosen->stream_count++] = (struct profile_stream){.listen = listen,
                                                                          .tls = tls};
    }
    return EXIT_SUCCESS;
}

int profiles_choose(struct profiles *profiles, const char *command, struct serve_settings *settings)
{
    const struct profiles_settings *asked = &settings->profiles;
    for (size_t i = 0; i < asked->names.count; i++) {
        const struct profile *profile = find_known(asked->names.items[i]);
        if (!profile) {
            return fail_unknown(command, asked->names.items[i]);
        }
        choose(profiles, profile);
        if (profile->prepare) {
            profile->prepare(settings);
        }
    }
    if (settings->rooms.is_wanted) {
        choose(profiles, &profile_native);
    }
    int exit_status = add_streams(profiles, command, "--tcp", &asked->tcp, false);
    return exit_status ? exit_status
                       : add_streams(profiles, command, "--tcp-tls", &asked->tcp_tls, true);
}

/* ---- running them ---- */

/* The rule of --listen, see serve_security.c, holds for streams too. */
static int check_openness(const struct chosen_profile *chosen, const char *command,
                          const struct serve_settings *settings)
{
    bool is_guarded = settings->server.session_authenticator_count > 0 ||
                      settings->security.allow_all;
    for (size_t i = 0; !is_guarded && i < chosen->stream_count; i++) {
        const struct profile_stream *stream = &chosen->streams[i];
        bool shows_certificate = stream->tls && security_needs_certificate(&settings->server);
        if (!security_is_loopback(stream->listen) && !shows_certificate) {
            return options_fail(EXIT_USAGE, command,
                                "%s %s: others can reach this address, and nothing says who may "
                                "come in. Give --auth-tokens or --jwt-alg, or --allow-all if "
                                "everybody is to be let in",
                                stream->tls ? "--tcp-tls" : "--tcp", stream->listen);
        }
    }
    return EXIT_SUCCESS;
}

int profiles_start(struct profiles *profiles, const char *command, struct serve_settings *settings,
                   const struct profile_parts *parts)
{
    for (size_t i = 0; i < profiles->count; i++) {
        struct chosen_profile *chosen = &profiles->chosen[i];
        const struct profile_context context = {.command = command,
                                                .server = parts->server,
                                                .accounts = parts->accounts,
                                                .settings = settings,
                                                .streams = chosen->streams,
                                                .stream_count = chosen->stream_count};
        int exit_status = check_openness(chosen, command, settings);
        exit_status = exit_status ? exit_status : chosen->profile->start(&context, &chosen->state);
        if (exit_status) {
            return exit_status;
        }
    }
    return EXIT_SUCCESS;
}

void profiles_read_counters(void *ctx, kj_counter_visit visit, void *visit_ctx)
{
    const struct profiles *profiles = ctx;
    for (size_t i = 0; i < profiles->count; i++) {
        const struct chosen_profile *chosen = &profiles->chosen[i];
        if (chosen->state && chosen->profile->read_counters) {
            chosen->profile->read_counters(chosen->state, visit, visit_ctx);
        }
    }
}

void profiles_print_streams(const struct profiles *profiles, const struct kj_server *server)
{
    size_t index = 0; /* each profile listens to its streams in their order */
    for (size_t i = 0; i < profiles->count; i++) {
        const struct chosen_profile *chosen = &profiles->chosen[i];
        for (size_t j = 0; j < chosen->stream_count; j++) {
            const struct profile_stream *stream = &chosen->streams[j];
            const char *colon = strrchr(stream->listen, ':');
            printf("kujata: %s on %s://%.*s:%u\n", chosen->profile->name,
                   stream->tls ? "tls" : "tcp", (int)(colon - stream->listen), stream->listen,
                   kj_server_stream_port(server, index++));
        }
    }
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
