/* push_config.h - what one subscriber asked for (bahamut's PushConfig).
 *
 * Every data frame a client sends on /events is one: it replaces the one before.
 * No config, or one without identities, lets every event through; an identity with no
 * event types lets all types of it through; an identity not named is filtered out.
 *
 * Threads: immutable once decoded, so any thread may read one it can reach.
 */
#ifndef KUJATA_PUSH_CONFIG_H
#define KUJATA_PUSH_CONFIG_H

#include <kujata/encoding.h>
#include <kujata/error.h>
#include <kujata/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kj_push_config;

/* Reads one frame. With `error` filled: KJ_EPARSE when it is not a push config, KJ_EINVAL when
 * an attribute filter is at fault, KJ_ELIMIT when it nests too deep, names more
 * than 1,024 identities or brings more than 128 parameters. Unknown members are ignored. */
enum kj_status kj_push_config_decode(const uint8_t *bytes, size_t len, enum kj_encoding encoding,
                                     struct kj_push_config **config, struct kj_error *error);

void kj_push_config_free(struct kj_push_config *config); /* NULL is fine */

/* Whether events of this identity and type were asked for. A NULL config asks for all. */
bool kj_push_config_wants(const struct kj_push_config *config, const char *identity,
                          const char *type);

/* The attribute filter text sent for an identity, or NULL; lives as long as the config. */
const char *kj_push_config_filter(const struct kj_push_config *config, const char *identity);

/* Calls `visit` for each parameter value, in order; the first of a name comes first. */
void kj_push_config_parameters(const struct kj_push_config *config,
                               void (*visit)(const char *name, const char *value, void *ctx),
                               void *ctx);

/* The config in the wire form a server reads; *bytes is malloc'd and the caller's.
 * `identities` holds "name" or "name:type,type" entries, NULL at the end. */
enum kj_status kj_push_config_encode(const char *const *identities, enum kj_encoding encoding,
                                     uint8_t **bytes, size_t *len);

#endif
