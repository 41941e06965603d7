/* native.c - messages of a client of the native protocol: the first byte says whether it is a text.
 * Each is answered, or the client is closed. */
#include "fuzz.h"
#include "gateway_node.h"

#include <kujata/native.h>

static struct gateway_node node;

static void make_node(void)
{
    struct kj_native *native;
    FUZZ_REQUIRE(kj_native_new(&(struct kj_native_options){.is_open = true}, &native) == KJ_OK);
    const struct kj_protocol protocol = kj_native_protocol(native);
    gateway_node_make(&node, &protocol);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (!node.mount) {
        make_node();
    }
    if (len == 0) {
        return 0;
    }
    struct kj_client *client = gateway_node_client(&node, bytes[0] & 2 ? KJ_ENCODING_MSGPACK
                                                                       : KJ_ENCODING_JSON);
    gateway_node_say(&node, client, bytes[0] & 1 ? KJ_FRAME_BINARY : KJ_FRAME_TEXT, bytes + 1,
                     len - 1);
    FUZZ_REQUIRE(client->session.connection.out.count == 1);
    gateway_node_end(&node, client);
    return 0;
}
