/* serve_http.c - see serve_http.h. */
#include "serve_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT_BYTES_MAX = 1024 * 1024, RATE_MAX = 1000000 };

static const char command[] = "serve";

static int fail_for_memory(void)
{
    return options_fail(EXIT_FAILURE, command, "no memory for the command line");
}

/* ---- flags ---- */

void http_add_options(struct http_settings *settings, struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--no-compression", OPTION_SWITCH, &settings->no_compression, NULL,
                "never compress answers")},
        {OPTION("--no-keep-alive", OPTION_SWITCH, &settings->no_keep_alive, NULL,
                "each answer ends its connection")},
        {OPTION("--cors-origin", OPTION_TEXT, &settings->cors_origin, "URL|*|mirror",
                "whose pages may call the API; default: the server's own")},
        {OPTION("--cors-also", OPTION_LIST, &settings->cors_others, "URL",
                "another origin with --cors-origin URL; repeatable"),
         .needs = {"--cors-origin"}},
        {OPTION("--rate-limit", OPTION_TEXT, &settings->rate, "N[/BURST]",
                "calls of the API in a second, and at once; default: no limit")},
        {OPTION("--rate-limit-identity", OPTION_LIST, &settings->identity_rates, "NAME=N[/BURST]",
                "the same for one identity; repeatable")},
        {OPTION("--rate-limit-handshakes", OPTION_TEXT, &settings->handshake_rate, "N[/BURST]",
                "websocket handshakes in a second, and at once; default: no limit")},
        {OPTION("--rate-limit-handshakes-per-address", OPTION_TEXT,
                &settings->address_handshake_rate, "N[/BURST]", "the same, of one address")},
        {OPTION("--read-only", OPTION_SWITCH, &settings->read_only, NULL,
                "refuse writes with 423")},
        {OPTION("--read-only-except", OPTION_LIST, &settings->read_only_except, "NAME[,...]",
                "identities that may be written still; repeatable"),
         .needs = {"--read-only"}},
        {OPTION("--service-name", OPTION_TEXT, &settings->service_name, "NAME",
                "told at /_meta/name; default: not told")},
        {OPTION("--service-version", OPTION_LIST, &settings->service_versions, "NAME=VERSION",
                "told at /_meta/version; repeatable")},
        {OPTION("--no-meta-routes", OPTION_SWITCH, &settings->no_meta_routes, NULL,
                "no /_meta/routes, /_meta/openapi.json and /_meta/asyncapi.json")},
        {OPTION("--spec-title", OPTION_TEXT, &settings->spec_title, "TEXT",
                "of /_meta/openapi.json and asyncapi.json; default: --service-name, or Kujata"),
         .not_with = "--no-meta-routes"},
        {OPTION("--spec-version", OPTION_TEXT, &settings->spec_version, "TEXT",
                "of the API, told there; default: the model's"),
         .not_with = "--no-meta-routes"},
        {OPTION("--spec-url", OPTION_TEXT, &settings->spec_url, "URL",
                "where clients reach the server, told there; default: not told"),
         .not_with = "--no-meta-routes"},
        {OPTION("--api-prefix", OPTION_TEXT, &settings->api_prefix, "PATH",
                "in front of every route, such as /api; default none")},
        {OPTION("--root-file", OPTION_TEXT, &settings->root_file, "FILE",
                "what / answers; default: nothing, with 200")},
        {OPTION("--root-type", OPTION_TEXT, &settings->root_type, "TYPE",
                "its Content-Type; default text/html; charset=utf-8"),
         .needs = {"--root-file"}},
        {OPTION("--root-redirect", OPTION_TEXT, &settings->root_redirect, "URL",
                "where / leads instead")},
        {OPTION("--trusted-proxy", OPTION_LIST, &settings->trusted_proxies, "ADDR[/BITS]",
                "whose X-Forwarded-For is believed; repeatable")},
    };
    OPTIONS_ADD(table, "HTTP", rows);
}

/* ---- rates ---- */

/* Digits from *text on, which it moves behind them. */
static bool read_number(const char **text, uint32_t *number)
{
    size_t digits = strspn(*text, "0123456789");
    unsigned long value = strtoul(*text, NULL, 10);
    if (digits == 0 || digits > 7 || value == 0 || value > RATE_MAX) {
        return false;
    }
    *number = (uint32_t)value;
    *text += digits;
    return true;
}

/* `text` NULL: the flag was not given. */
static int read_rate(const char *flag, const char *text, struct kj_rate *rate)
{
    if (!text) {
        return 0;
    }
    const char *at = text;
    bool is_read = read_number(&at, &rate->per_second);
    if (is_read && *at == '/') {
        at++;
        is_read = read_number(&at, &rate->burst);
    }
    return is_read && !*at ? 0
                           : options_fail(EXIT_USAGE, command,
                                          "%s: \"%s\" is not N or N/BURST, each from 1 to %d", flag,
                                          text, RATE_MAX);
}

static int read_identity_rate(const char *text, struct kj_identity_rate *rate)
{
    static const char flag[] = "--rate-limit-identity";
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) {
        return options_fail(EXIT_USAGE, command, "%s: \"%s\" is not NAME=N[/BURST]", flag, text);
    }
    rate->identity = strndup(text, (size_t)(equals - text));
    return rate->identity ? read_rate(flag, equals + 1, &rate->rate) : fail_for_memory();
}

static int read_rates(struct http_parts *parts, const struct http_settings *settings,
                      struct kj_http_policy *policy)
{
    const struct text_list *list = &settings->identity_rates;
    int exit_status = read_rate("--rate-limit", settings->rate, &policy->request_rate);
    if (!exit_status) {
        exit_status = read_rate("--rate-limit-handshakes", settings->handshake_rate,
                                &policy->handshake_rate);
    }
    if (!exit_status) {
        exit_status = read_rate("--rate-limit-handshakes-per-address",
                                settings->address_handshake_rate,
                                &policy->handshake_rate_per_address);
    }
    parts->identity_rates = calloc(list->count + 1, sizeof *parts->identity_rates);
    if (!parts->identity_rates) {
        return fail_for_memory();
    }
    for (; !exit_status && parts->identity_rate_count < list->count; parts->identity_rate_count++) {
        exit_status = read_identity_rate(list->items[parts->identity_rate_count],
                                         &parts->identity_rates[parts->identity_rate_count]);
    }
    policy->identity_rates = parts->identity_rates;
    policy->identity_rate_count = parts->identity_rate_count;
    return exit_status;
}

/* ---- read-only ---- */

/* Cuts "NAME,NAME" of each value into names. */
static int read_exceptions(struct http_parts *parts, const struct text_list *list)
{
    size_t count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        for (const char *at = list->items[i]; (at = strchr(at, ',')); at++) {
            count++;
        }
    }
    parts->read_only_except = calloc(count + 1, sizeof *parts->read_only_except);
    char **next = parts->read_only_except;
    for (size_t i = 0; next && i < list->count; i++) {
        const char *at = list->items[i];
        for (;;) {
            size_t len = strcspn(at, ",");
            *next = strndup(at, len);
            if (!*next++) {
                return fail_for_memory();
            }
            if (!at[len]) {
                break;
            }
            at += len + 1;
        }
    }
    return next ? 0 : fail_for_memory();
}

/* ---- the root ---- */

static int read_root(struct http_parts *parts, const struct http_settings *settings,
                     struct kj_http_policy *policy)
{
    policy->root_redirect = settings->root_redirect;
    if (!settings->root_file) {
        policy->root_content_type = settings->root_type;
        return 0;
    }
    policy->root_content_type = settings->root_type ? settings->root_type
                                                    : "text/html; charset=utf-8";
    parts->root_body = malloc(ROOT_BYTES_MAX + 1);
    if (!parts->root_body) {
        return fail_for_memory();
    }
    FILE *file = fopen(settings->root_file, "re");
    if (!file) {
        return options_fail(EXIT_USAGE, command, "--root-file: %s: %s", settings->root_file,
                            strerror(errno));
    }
    size_t len = fread(parts->root_body, 1, ROOT_BYTES_MAX + 1, file);
    bool is_whole = !ferror(file) && len <= ROOT_BYTES_MAX;
    fclose(file);
    if (!is_whole || memchr(parts->root_body, 0, len)) {
        return options_fail(EXIT_USAGE, command, "--root-file: %s is no text of at most %d bytes",
                            settings->root_file, ROOT_BYTES_MAX);
    }
    parts->root_body[len] = '\0';
    policy->root_body = parts->root_body;
    return 0;
}

/* ---- all of it ---- */

int http_make(struct http_parts *parts, const struct http_settings *settings,
              struct kj_http_policy *policy)
{
    *policy = (struct kj_http_policy){
        .no_compression = settings->no_compression,
        .no_keep_alive = settings->no_keep_alive,
        .cors_origin = settings->cors_origin,
        .cors_origins = settings->cors_others.items,
        .read_only = settings->read_only,
        .service_name = settings->service_name,
        .service_versions = settings->service_versions.items,
        .no_meta_routes = settings->no_meta_routes,
        .spec_title = settings->spec_title,
        .spec_version = settings->spec_version,
        .spec_url = settings->spec_url,
        .api_prefix = settings->api_prefix,
        .trusted_proxies = settings->trusted_proxies.items,
    };
    int exit_status = read_rates(parts, settings, policy);
    if (!exit_status) {
        exit_status = read_exceptions(parts, &settings->read_only_except);
    }
    policy->read_only_except = (const char *const *)parts->read_only_except;
    return exit_status ? exit_status : read_root(parts, settings, policy);
}

void http_free(struct http_parts *parts)
{
    for (size_t i = 0; parts->identity_rates && parts->identity_rates[i].identity; i++) {
        free((char *)parts->identity_rates[i].identity);
    }
    free(parts->identity_rates);
    for (char **name = parts->read_only_except; name && *name; name++) {
        free(*name);
    }
    free(parts->read_only_except);
    free(parts->root_body);
    *parts = (struct http_parts){0};
}
