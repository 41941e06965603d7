/* pages.h - web pages compiled into the program, so that it needs no folder to serve them from. */
#ifndef KUJATA_APP_PAGES_H
#define KUJATA_APP_PAGES_H

#include <kujata/server.h>
#include <stddef.h>

struct page {
    const char *path;
    const char *content_type;
    const char *tag; /* its ETag */
    const unsigned char *bytes;
    size_t len;
};

struct page_set {
    const struct page *pages;
    size_t count;
};

extern const struct page_set chat_pages, live_pages; /* of examples/chat and examples/live */

/* Serves them on the public listener. Returns an exit status; a fault is told on stderr. */
int pages_add(const char *command, struct kj_server *server, const struct page_set *set);

#endif
