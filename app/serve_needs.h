/* serve_needs.h - the sets of flags of `kujata serve` that others need: see struct option. */
#ifndef KUJATA_APP_SERVE_NEEDS_H
#define KUJATA_APP_SERVE_NEEDS_H

#define WITH_BROKER "--pubsub nats://...|--pubsub tls://..."
#define WITH_STORE_FILE "--store sqlite:PATH"

/* Who shows a token, or anything that is looked at. */
#define WITH_ACCOUNTS "--accounts|--profile chat"
#define WITH_TOKENS WITH_ACCOUNTS "|--auth-tokens|--jwt-alg"
#define WITH_AUTHENTICATION WITH_TOKENS "|--auth-certificate"

/* Clients of rooms: of any protocol, of the native one, of those that may be open to everybody, and
 * of those whose messages may be kept. */
#define WITH_CLIENTS "--gateway|--profile"
#define WITH_NATIVE "--gateway|--profile native|--profile chat|--profile live"
#define WITH_ROOMS WITH_NATIVE "|--profile gochat|--profile go-push"
#define WITH_OPEN WITH_NATIVE "|--profile goim|--profile go-push"
#define WITH_KEEPING WITH_NATIVE "|--profile healing"
#define WITH_MESSAGES "--messages|--profile chat"

#endif
