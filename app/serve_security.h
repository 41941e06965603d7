/* serve_security.h - who gets in at `kujata serve`, and what is written down of it. */
#ifndef KUJATA_APP_SERVE_SECURITY_H
#define KUJATA_APP_SERVE_SECURITY_H

#include "options.h"

#include <kujata/audit.h>
#include <kujata/auth.h>
#include <kujata/auth_rules.h>
#include <kujata/server.h>

/* What the command line says. */
struct security_settings {
    const char *tokens_file, *rules_file;
    struct kj_auth_jwt_options jwt;
    const char *cookie;
    bool certificate, in_query, public_reads, allow_all;
    const char *audit_file;
};

/* Rows of the table of options; `settings` is a pointer to the above. */
#define SECURITY_OPTIONS(settings)                                                                 \
    {OPTION("--auth-tokens", OPTION_TEXT, &(settings)->tokens_file, "FILE",                        \
            "let in who shows a token of this file: TOKEN CLAIM=VALUE... on each line")},          \
        {OPTION("--jwt-alg", OPTION_TEXT, &(settings)->jwt.algorithm, "NAME",                      \
                "let in who shows a JSON Web Token of this algorithm: HS256, RS256, ES256 ...")},  \
        {OPTION("--jwt-key", OPTION_TEXT, &(settings)->jwt.key_file, "FILE",                       \
                "the secret, or the public key (PEM), they are checked with")},                    \
        {OPTION("--jwt-jwks", OPTION_TEXT, &(settings)->jwt.jwks_file, "FILE",                     \
                "a key set instead of one key")},                                                  \
        {OPTION("--jwt-issuer", OPTION_TEXT, &(settings)->jwt.issuer, "NAME",                      \
                "what iss must be; default anything")},                                            \
        {OPTION("--jwt-audience", OPTION_TEXT, &(settings)->jwt.audience, "NAME",                  \
                "what aud must be or hold; default anything")},                                    \
        {OPTION("--jwt-leeway-s", OPTION_NUMBER, &(settings)->jwt.leeway_s, "S",                   \
                "by which clocks may differ; default 0"),                                          \
         .maximum = 3600},                                                                         \
        {OPTION("--auth-certificate", OPTION_SWITCH, &(settings)->certificate, NULL,               \
                "let in who shows a certificate of --tls-client-ca, which gives the claims")},     \
        {OPTION("--auth-cookie", OPTION_TEXT, &(settings)->cookie, "NAME",                         \
                "take the token from this cookie too")},                                           \
        {OPTION("--auth-query", OPTION_SWITCH, &(settings)->in_query, NULL,                        \
                "take the token of REST calls from the parameter token too")},                     \
        {OPTION("--auth-public-reads", OPTION_SWITCH, &(settings)->public_reads, NULL,             \
                "calls that change nothing need no token")},                                       \
        {OPTION("--auth-rules", OPTION_TEXT, &(settings)->rules_file, "FILE",                      \
                "which claims may do what with which identities; default everything")},            \
        {OPTION("--allow-all", OPTION_SWITCH, &(settings)->allow_all, NULL,                        \
                "let everybody in on an address others can reach")},                               \
    {                                                                                              \
        OPTION("--audit", OPTION_TEXT, &(settings)->audit_file, "FILE",                            \
               "append a line of JSON for each call and each session")                             \
    }

enum { SECURITY_CHAIN_MAX = 4 };

struct security {
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

/* Whether there is something to read again at SIGHUP. */
bool security_wants_reload(const struct security_settings *settings);

/* Reads it. A failure is a line on stderr. */
void security_reload(struct security *security, struct kj_server *server);

void security_free(struct security *security);

#endif
