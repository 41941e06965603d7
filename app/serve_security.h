/* serve_security.h - who gets in at `kujata serve`, and what is written down of it. */
#ifndef KUJATA_APP_SERVE_SECURITY_H
#define KUJATA_APP_SERVE_SECURITY_H

#include "options.h"

#include <kujata/accounts.h>
#include <kujata/audit.h>
#include <kujata/auth.h>
#include <kujata/auth_rules.h>
#include <kujata/namespaces.h>
#include <kujata/server.h>

/* What the command line says. */
struct security_settings {
    const char *tokens_file, *rules_file;
    struct kj_auth_jwt_options jwt;
    const char *cookie;
    bool certificate, in_query, public_reads, allow_all;
    const char *audit_file;
};

/* Adds the flags. */
void security_add_options(struct security_settings *settings, struct option_table *table);

enum { SECURITY_CHAIN_MAX = 6 };

struct security {
    struct kj_accounts *accounts; /* made before security_make; NULL: none */
    struct kj_auth_tokens *tokens;
    struct kj_auth_jwt *jwt;
    struct kj_auth_rules *rules;
    struct kj_audit_file *audit;
    struct kj_authorizer authorizer;
    struct kj_request_authenticator request_chain[SECURITY_CHAIN_MAX];
    struct kj_session_authenticator session_chain[SECURITY_CHAIN_MAX];
};

/* Makes what was asked for and enters it into the server's options, which borrow it. Returns an
 * exit status, after a line on stderr where it is not 0. */
int security_make(struct security *security, const struct security_settings *settings,
                  struct kj_server_options *server);

/* What namespaces let through is asked of the rules too, where there are any. */
struct kj_namespaces_options security_namespaces(struct security *security);

/* Whether authenticators are asked after those of the accounts. */
bool security_wants_more(const struct security_settings *settings);

/* Whether there is something to read again at SIGHUP. */
bool security_wants_reload(const struct security_settings *settings);

/* Reads it. A failure is a line on stderr. */
void security_reload(struct security *security, struct kj_server *server);

void security_free(struct security *security);

/* Whether only programs of this machine reach an address. */
bool security_is_loopback(const char *listen);

/* Whether whoever speaks TLS to the server has to show a certificate. */
bool security_needs_certificate(const struct kj_server_options *server);

#endif
