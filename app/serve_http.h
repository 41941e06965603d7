/* serve_http.h - what `kujata serve` asks of its HTTP clients and tells them. */
#ifndef KUJATA_APP_SERVE_HTTP_H
#define KUJATA_APP_SERVE_HTTP_H

#include "options.h"

#include <kujata/server.h>

/* What the command line says. */
struct http_settings {
    bool no_compression, no_keep_alive, no_meta_routes, read_only;
    const char *cors_origin, *api_prefix, *service_name;
    const char *spec_title, *spec_version, *spec_url;
    struct text_list cors_others, read_only_except, service_versions, trusted_proxies;
    const char *rate, *handshake_rate, *address_handshake_rate;
    struct text_list identity_rates;
    const char *root_file, *root_type, *root_redirect;
};

/* Adds the flags. */
void http_add_options(struct http_settings *settings, struct option_table *table);

/* What the policy borrows until the server is made. */
struct http_parts {
    struct kj_identity_rate *identity_rates;
    size_t identity_rate_count;
    char **read_only_except; /* NULL at the end */
    char *root_body;
};

/* Fills in the policy. Returns an exit status, after a line on stderr where it is not 0; the
 * parts are to be freed in any case. */
int http_make(struct http_parts *parts, const struct http_settings *settings,
              struct kj_http_policy *policy);

void http_free(struct http_parts *parts);

#endif
