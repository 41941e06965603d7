/* serve_store.h - where a node keeps its objects, as the command line says. */
#ifndef KUJATA_APP_SERVE_STORE_H
#define KUJATA_APP_SERVE_STORE_H

#include "options.h"

#include <kujata/kujata.h>

struct store_settings {
    const char *where; /* NULL: memory */
    bool is_relaxed;
    uint32_t busy_ms, readers, cache_bytes, max_megabytes;
};

/* Adds the flags. */
void store_add_options(struct store_settings *settings, struct option_table *table);

/* Returns an exit status; a fault is told on stderr. */
int store_make(const char *command, const struct store_settings *settings,
               const struct kj_model *model, struct kj_store **store);

/* What it counts; nothing for one in memory, and for NULL. */
struct kj_counter_source store_counters(struct kj_store *store);

#endif
