/* gopush.c - by the first byte: a message of a client of go-push, or the items of a form of a
 * server's. A list is cut where its values end. */
#include "handlers/gopush.h"
#include "fuzz.h"
#include "gateway_node.h"

#include <stdlib.h>

static struct gateway_node node;

static void make_node(void)
{
    struct kj_gopush *gopush;
    FUZZ_REQUIRE(kj_gopush_new(&(struct kj_gopush_options){.is_open = true}, &gopush) == KJ_OK);
    const struct kj_protocol protocol = kj_gopush_protocol(gopush);
    gateway_node_make(&node, &protocol);
}

static void say(uint8_t first, const uint8_t *bytes, size_t len)
{
    struct kj_client *client = gateway_node_client(&node, KJ_ENCODING_JSON);
    gateway_node_say(&node, client, first & 2 ? KJ_FRAME_BINARY : KJ_FRAME_TEXT, bytes, len);
    FUZZ_REQUIRE(client->session.connection.out.count <= 1);
    gateway_node_end(&node, client);
}

static void cut(const uint8_t *bytes, size_t len)
{
    struct gopush_item *items;
    size_t count;
    json_t *list = NULL;
    if (gopush_items_cut(bytes, len, &items, &count)) {
        FUZZ_REQUIRE(!items && count == 0);
        return;
    }
    FUZZ_REQUIRE(kj_value_decode(KJ_ENCODING_JSON, bytes, len, &list, NULL) == KJ_OK);
    FUZZ_REQUIRE(json_array_size(list) == count);
    for (size_t i = 0; i < count; i++) {
        json_t *item = NULL;
        FUZZ_REQUIRE(kj_value_decode(KJ_ENCODING_JSON, items[i].text, items[i].len, &item, NULL) ==
                     KJ_OK);
        FUZZ_REQUIRE(json_equal(item, json_array_get(list, i)));
        json_decref(item);
    }
    json_decref(list);
    free(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (!node.mount) {
        make_node();
    }
    if (len > 0 && bytes[0] & 1) {
        say(bytes[0], bytes + 1, len - 1);
    } else if (len > 0) {
        cut(bytes + 1, len - 1);
    }
    return 0;
}
