/* serve_settings.h - what the command line of `kujata serve` says. */
#ifndef KUJATA_APP_SERVE_SETTINGS_H
#define KUJATA_APP_SERVE_SETTINGS_H

#include "options.h"
#include "serve_accounts.h"
#include "serve_api.h"
#include "serve_counters.h"
#include "serve_http.h"
#include "serve_messages.h"
#include "serve_presence.h"
#include "serve_profiles.h"
#include "serve_rooms.h"
#include "serve_security.h"
#include "serve_store.h"
#include "serve_upstream.h"

#include <kujata/kujata.h>

struct serve_settings {
    const char *model;
    struct store_settings store;
    const char *pubsub;
    const char *nats_user, *nats_password, *nats_credentials;
    const char *nats_tls_ca, *nats_tls_cert, *nats_tls_key, *nats_tls_name;
    uint32_t nats_queue_messages, nats_queue_bytes;
    uint32_t resume_events; /* 0: none are kept */
    int queue_policy;
    int io;
    int client_certificate; /* none, optional or required; -1: the default */
    struct text_list origins;
    bool print_counters;
    bool namespaces;
    struct security_settings security;
    struct http_settings http;
    struct rooms_settings rooms;
    struct messages_settings messages;
    struct profiles_settings profiles;
    struct api_settings api;
    struct accounts_settings accounts;
    struct presence_settings presence;
    struct upstream_settings upstream;
    struct counter_sources counters; /* more may be added until the server starts */
    struct kj_server_options server;
};

/* Fills them in, as options_parse does. Values are borrowed from argv. */
enum options_result serve_parse(struct serve_settings *settings, const char *command, int argc,
                                char *const *argv);

#endif
