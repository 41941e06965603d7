/* push_config.h - what the server itself needs to know of a push config; see
 * kujata/push_config.h for the rest. */
#ifndef KJ_CODEC_PUSH_CONFIG_H
#define KJ_CODEC_PUSH_CONFIG_H

#include <kujata/push_config.h>
#include <stddef.h>

/* One identity asked for; borrowed from the config. */
struct kj__push_config_entry {
    const char *identity;
    const char *filter; /* NULL: none */
    size_t type_count;  /* 0: every type */
    const char *types;  /* each with its terminator, one after the other */
};

/* How many identities a config names; 0 means that everything is wanted. */
size_t kj__push_config_count(const struct kj_push_config *config);

/* Walks the identities in the order given: start with *cursor NULL, stop at false. */
bool kj__push_config_next(const struct kj_push_config *config, const void **cursor,
                          struct kj__push_config_entry *entry);

/* Forgets the parameters, which are the session's once they were merged. */
void kj__push_config_drop_parameters(struct kj_push_config *config);

#endif
