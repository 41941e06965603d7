/* pages.c - see pages.h. */
#include "pages.h"

#include "options.h"

#include <kujata/route.h>
#include <stdlib.h>
#include <string.h>

/* A page may load and reach what comes from its own node, and nothing else. */
static const char content_policy[] = "default-src 'self'; img-src data:; connect-src 'self' ws: "
                                     "wss:; frame-ancestors 'none'; base-uri 'none'";

static void serve_page(struct kj_exchange *exchange, void *ctx)
{
    const struct page *page = ctx;
    const char *known = kj_exchange_header(exchange, "If-None-Match");
    /* Without memory for a header the answer is as good without it. */
    (void)kj_exchange_add_header(exchange, "ETag", page->tag);
    (void)kj_exchange_add_header(exchange, "Cache-Control", "no-cache");
    (void)kj_exchange_add_header(exchange, "Content-Security-Policy", content_policy);
    (void)kj_exchange_add_header(exchange, "X-Content-Type-Options", "nosniff");
    if (known && strcmp(known, page->tag) == 0) {
        (void)kj_exchange_answer(exchange, 304, NULL, NULL, 0);
    } else {
        (void)kj_exchange_answer(exchange, 200, page->content_type, page->bytes, page->len);
    }
}

int pages_add(const char *command, struct kj_server *server, const struct page_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct kj_error error = {0};
        const struct kj_route route = {.listener = KJ_LISTENER_PUBLIC,
                                       .method = "GET",
                                       .path = set->pages[i].path,
                                       .handle = serve_page,
                                       .ctx = (void *)&set->pages[i]};
        if (kj_server_add_route(server, &route, &error)) {
            return options_fail(EXIT_FAILURE, command, "%s", error.text);
        }
    }
    return EXIT_SUCCESS;
}
