/* serve_security.c - see serve_security.h. */
#include "serve_security.h"

#include "serve_needs.h"

#include <kujata/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char command[] = "serve";

/* ---- the command line ---- */

void security_add_options(struct security_settings *settings, struct option_table *table)
{
    const struct option rows[] = {
        {OPTION("--auth-tokens", OPTION_TEXT, &settings->tokens_file, "FILE",
                "let in who shows a token of this file: TOKEN CLAIM=VALUE... on each line")},
        {OPTION("--jwt-alg", OPTION_TEXT, &settings->jwt.algorithm, "NAME",
                "let in who shows a JSON Web Token of this algorithm: HS256, RS256, ES256 ...")},
        {OPTION("--jwt-key", OPTION_TEXT, &settings->jwt.key_file, "FILE",
                "the secret, or the public key (PEM), they are checked with"),
         .needs = {"--jwt-alg"}},
        {OPTION("--jwt-jwks", OPTION_TEXT, &settings->jwt.jwks_file, "FILE",
                "a key set instead of one key"),
         .needs = {"--jwt-alg"}},
        {OPTION("--jwt-issuer", OPTION_TEXT, &settings->jwt.issuer, "NAME",
                "what iss must be; default anything"),
         .needs = {"--jwt-alg"}},
        {OPTION("--jwt-audience", OPTION_TEXT, &settings->jwt.audience, "NAME",
                "what aud must be or hold; default anything"),
         .needs = {"--jwt-alg"}},
        {OPTION("--jwt-leeway-s", OPTION_NUMBER, &settings->jwt.leeway_s, "S",
                "by which clocks may differ; default 0"),
         .maximum = 3600, .needs = {"--jwt-alg"}},
        {OPTION("--auth-certificate", OPTION_SWITCH, &settings->certificate, NULL,
                "let in who shows a certificate of --tls-client-ca, which gives the claims"),
         .needs = {"--tls-client-ca"}},
        {OPTION("--auth-cookie", OPTION_TEXT, &settings->cookie, "NAME",
                "take the token from this cookie too"),
         .needs = {WITH_TOKENS}},
        {OPTION("--auth-query", OPTION_SWITCH, &settings->in_query, NULL,
                "take the token of REST calls from the parameter token too"),
         .needs = {WITH_TOKENS}},
        {OPTION("--auth-public-reads", OPTION_SWITCH, &settings->public_reads, NULL,
                "calls that change nothing need no token"),
         .needs = {WITH_AUTHENTICATION}},
        {OPTION("--auth-rules", OPTION_TEXT, &settings->rules_file, "FILE",
                "which claims may do what with which identities; default everything")},
        {OPTION("--allow-all", OPTION_SWITCH, &settings->allow_all, NULL,
                "let everybody in on an address others can reach")},
        {OPTION("--audit", OPTION_TEXT, &settings->audit_file, "FILE",
                "append a line of JSON for each call and each session")},
    };
    OPTIONS_ADD(table, "who gets in", rows);
}

/* ---- making ---- */

static int make_tokens(struct security *security, const struct security_settings *settings,
                       bool others_follow)
{
    if (!settings->tokens_file) {
        return 0;
    }
    struct kj_error error = {0};
    const struct kj_auth_tokens_options options = {.file = settings->tokens_file,
                                                   .others_follow = others_follow};
    return kj_auth_tokens_new(&options, &security->tokens, &error)
               ? options_fail(EXIT_USAGE, command, "--auth-tokens: %s", error.text)
               : 0;
}

static bool wants_jwt(const struct security_settings *settings)
{
    return settings->jwt.algorithm;
}

static int make_jwt(struct security *security, const struct security_settings *settings)
{
    if (!wants_jwt(settings)) {
        return 0;
    }
    struct kj_error error = {0};
    return kj_auth_jwt_new(&settings->jwt, &security->jwt, &error)
               ? options_fail(EXIT_USAGE, command, "--jwt-...: %s", error.text)
               : 0;
}

static int make_rules(struct security *security, const struct security_settings *settings,
                      const struct kj_model *model)
{
    if (!settings->rules_file) {
        return 0;
    }
    struct kj_error error = {0};
    const struct kj_auth_rules_options options = {.file = settings->rules_file, .model = model};
    return kj_auth_rules_new(&options, &security->rules, &error)
               ? options_fail(EXIT_USAGE, command, "--auth-rules: %s", error.text)
               : 0;
}

static int make_audit(struct security *security, const struct security_settings *settings)
{
    if (!settings->audit_file) {
        return 0;
    }
    struct kj_error error = {0};
    return kj_audit_file_new(settings->audit_file, &security->audit, &error)
               ? options_fail(EXIT_FAILURE, command, "--audit: %s", error.text)
               : 0;
}

bool security_is_loopback(const char *listen)
{
    return !listen || strncmp(listen, "127.", strlen("127.")) == 0 ||
           strncmp(listen, "[::1]:", strlen("[::1]:")) == 0;
}

bool security_needs_certificate(const struct kj_server_options *server)
{
    return server->tls_client_ca &&
           (server->tls_client_certificate == KJ_CLIENT_CERTIFICATE_DEFAULT ||
            server->tls_client_certificate == KJ_CLIENT_CERTIFICATE_REQUIRED);
}

static int check_openness(const struct security *security, const struct security_settings *settings,
                          const struct kj_server_options *server)
{
    bool has_auth = security->accounts || security->tokens || security->jwt ||
                    settings->certificate;
    if (settings->allow_all && has_auth) {
        return options_fail(EXIT_USAGE, command,
                            "--allow-all lets everybody in: it cannot stand beside --accounts, "
                            "--auth-tokens, --jwt-alg and --auth-certificate");
    }
    if (has_auth || settings->allow_all || security_is_loopback(server->listen) ||
        security_needs_certificate(server)) {
        return 0;
    }
    return options_fail(EXIT_USAGE, command,
                        "--listen %s: others can reach this address, and nothing says who may do "
                        "what. Give --accounts, --auth-tokens, --jwt-alg or --tls-client-ca, or "
                        "--allow-all if everybody is to be let in",
                        server->listen);
}

/* The last of a chain refuses what none of them knows. */
static void fill_chains(struct security *security, const struct security_settings *settings,
                        struct kj_server_options *server)
{
    size_t *calls = &server->request_authenticator_count;
    size_t *sessions = &server->session_authenticator_count;
    bool others_follow = security->accounts || security->tokens || security->jwt;
    if (settings->certificate) {
        security->request_chain[(*calls)++] = kj_auth_certificate_request(others_follow ||
                                                                          settings->public_reads);
        security->session_chain[(*sessions)++] = kj_auth_certificate_session(others_follow);
    }
    /* Behind the certificates: the claims of one count for reads too. */
    if (settings->public_reads) {
        security->request_chain[(*calls)++] = kj_auth_public_reads();
    }
    if (settings->certificate && settings->public_reads && !others_follow) {
        security->request_chain[(*calls)++] = kj_auth_certificate_request(false);
    }
    if (security->accounts) {
        security->request_chain[(*calls)++] = kj_accounts_request(security->accounts);
        security->session_chain[(*sessions)++] = kj_accounts_session(security->accounts);
    }
    if (security->tokens) {
        security->request_chain[(*calls)++] = kj_auth_tokens_request(security->tokens);
        security->session_chain[(*sessions)++] = kj_auth_tokens_session(security->tokens);
    }
    if (security->jwt) {
        security->request_chain[(*calls)++] = kj_auth_jwt_request(security->jwt);
        security->session_chain[(*sessions)++] = kj_auth_jwt_session(security->jwt);
    }
    server->request_authenticators = security->request_chain;
    server->session_authenticators = security->session_chain;
    server->token_cookie = settings->cookie;
    server->token_in_query = settings->in_query;
    if (security->rules) {
        security->authorizer = kj_auth_rules_authorizer(security->rules);
        server->authorizers = &security->authorizer;
        server->authorizer_count = 1;
        server->dispatch = kj_auth_rules_dispatch(security->rules);
    }
    if (security->audit) {
        server->audit = kj_audit_file_auditor(security->audit);
    }
}

int security_make(struct security *security, const struct security_settings *settings,
                  struct kj_server_options *server)
{
    int exit_status = make_tokens(security, settings, wants_jwt(settings));
    exit_status = exit_status ? exit_status : make_jwt(security, settings);
    exit_status = exit_status ? exit_status : check_openness(security, settings, server);
    exit_status = exit_status ? exit_status : make_rules(security, settings, server->model);
    exit_status = exit_status ? exit_status : make_audit(security, settings);
    if (!exit_status) {
        fill_chains(security, settings, server);
    }
    return exit_status;
}

static bool may_hear(struct kj_session *session, const struct kj_event *event, void *ctx)
{
    return kj_auth_rules_may_hear(ctx, session, event);
}

struct kj_namespaces_options security_namespaces(struct security *security)
{
    return (struct kj_namespaces_options){.allows = security->rules ? may_hear : NULL,
                                          .ctx = security->rules};
}

void security_free(struct security *security)
{
    kj_audit_file_free(security->audit);
    kj_auth_rules_free(security->rules);
    kj_auth_jwt_free(security->jwt);
    kj_auth_tokens_free(security->tokens);
    kj_accounts_free(security->accounts);
}

/* ---- reading again ---- */

bool security_wants_more(const struct security_settings *settings)
{
    return settings->tokens_file || wants_jwt(settings);
}

bool security_wants_reload(const struct security_settings *settings)
{
    return settings->tokens_file || wants_jwt(settings) || settings->rules_file ||
           settings->audit_file;
}

static void report(struct kj_server *server, const char *flag, enum kj_status status,
                   const struct kj_error *error)
{
    kj_server_count_auth_reload(server, !status);
    if (status) {
        kj_log(KJ_LOG_ERROR, "serve", "%s: %s; what was in force stays", flag, error->text);
    } else {
        kj_log(KJ_LOG_INFO, "serve", "%s: read again", flag);
    }
}

void security_reload(struct security *security, struct kj_server *server)
{
    struct kj_error error = {0};
    if (security->tokens) {
        report(server, "--auth-tokens", kj_auth_tokens_reload(security->tokens, &error), &error);
    }
    if (security->jwt) {
        report(server, "--jwt-...", kj_auth_jwt_reload(security->jwt, &error), &error);
    }
    if (security->rules) {
        report(server, "--auth-rules", kj_auth_rules_reload(security->rules, &error), &error);
    }
    if (security->audit) {
        report(server, "--audit", kj_audit_file_reopen(security->audit, &error), &error);
    }
}
