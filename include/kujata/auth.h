/* auth.h - ready authenticators: tokens listed in a file, JSON Web Tokens, client certificates.
 *
 * The first two find the token as kj_context_token and kj_session_token do, and leave what is known
 * of the caller as claims. A good token is accepted and ends the chain. Anything else is refused,
 * unless others_follow: then a call that is not for this authenticator (no token, one it does not
 * know) is left to the next, and the last of the chain must refuse.
 *
 * Threads: an authenticator may be asked and read its files again on any number of threads. It must
 * outlive the servers that use it.
 */
#ifndef KUJATA_AUTH_H
#define KUJATA_AUTH_H

#include <kujata/error.h>
#include <kujata/handlers.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stdint.h>

/* Longer ones are not looked at. */
enum { KJ_AUTH_TOKEN_MAX = 16 * 1024 };

/* ---- tokens in a file ---- */

struct kj_auth_tokens;

/* A line of the file is a token, and the claims of who shows it:
 *
 *     TOKEN sub=alice role=admin
 *     sha256:HEX sub=bob
 *
 * HEX is the token's SHA-256 in 64 digits, so that the file tells nobody the token. Empty lines
 * and those that start with # do not count. At most 100,000 tokens in 16 MiB. */
struct kj_auth_tokens_options {
    const char *file;   /* required; copied */
    bool others_follow; /* see above */
};

/* KJ_EIO, KJ_EPARSE or KJ_ELIMIT with `error` naming file and line, never the token. */
enum kj_status kj_auth_tokens_new(const struct kj_auth_tokens_options *options,
                                  struct kj_auth_tokens **tokens, struct kj_error *error);

/* Reads the file again. What was in force stays after a failure.       [any thread] */
enum kj_status kj_auth_tokens_reload(struct kj_auth_tokens *tokens, struct kj_error *error);

void kj_auth_tokens_free(struct kj_auth_tokens *tokens); /* NULL is fine */

/* What the server's options take. Both may be used at once. */
struct kj_request_authenticator kj_auth_tokens_request(struct kj_auth_tokens *tokens);
struct kj_session_authenticator kj_auth_tokens_session(struct kj_auth_tokens *tokens);

/* ---- JSON Web Tokens ---- */

struct kj_auth_jwt;

/* One of key_file and jwks_file. Strings are copied. */
struct kj_auth_jwt_options {
    /* The only one accepted, whatever a token's header says: HS256, HS384, HS512, RS256, RS384,
     * RS512, ES256, ES384 or ES512. Required. */
    const char *algorithm;
    /* A secret of at least 32 bytes (HS; a line feed at its end does not count), or a public key or
     * certificate in PEM (RS of at least 2,048 bits, ES on the algorithm's curve). */
    const char *key_file;
    /* A JSON Web Key Set. A token names its key by `kid`; it may leave that out where the set has
     * but one key of the algorithm. Keys for other uses are skipped. */
    const char *jwks_file;
    const char *issuer;   /* what `iss` must be; NULL: anything */
    const char *audience; /* what `aud` must be or hold; NULL: anything */
    uint32_t leeway_s;    /* by which clocks may differ, for exp, nbf and iat */
    bool others_follow;   /* see above */
};

/* Claims are the payload's members: strings, numbers and booleans as "key=value", an array as one
 * claim for each element. Objects, nulls and empty strings are left out, and what tells tokens
 * apart, not callers: exp, iat, jti, nbf. More than 128 are refused. A session ends when its token
 * runs out (kj_session_set_expiry).
 *
 * KJ_EINVAL, KJ_EIO or KJ_EPARSE with `error` naming option and file. */
enum kj_status kj_auth_jwt_new(const struct kj_auth_jwt_options *options, struct kj_auth_jwt **jwt,
                               struct kj_error *error);

/* Reads the key again. What was in force stays after a failure.        [any thread] */
enum kj_status kj_auth_jwt_reload(struct kj_auth_jwt *jwt, struct kj_error *error);

void kj_auth_jwt_free(struct kj_auth_jwt *jwt); /* NULL is fine */

struct kj_request_authenticator kj_auth_jwt_request(struct kj_auth_jwt *jwt);
struct kj_session_authenticator kj_auth_jwt_session(struct kj_auth_jwt *jwt);

/* ---- client certificates ---- */

/* Accept who has shown a certificate (tls_client_ca). Its claims are bahamut's:
 * @auth:realm=certificate, @auth:mode=internal, @auth:serialnumber (decimal), and from its subject
 * @auth:commonname, @auth:organization and @auth:organizationalunit, each as often as it is there.
 */
struct kj_request_authenticator kj_auth_certificate_request(bool others_follow);
struct kj_session_authenticator kj_auth_certificate_session(bool others_follow);

/* ---- without credentials ---- */

/* First in a chain: accepts calls that show no token and change nothing (retrieve, retrieve-many,
 * info); the others are left to the next. */
struct kj_request_authenticator kj_auth_public_reads(void);

#endif
