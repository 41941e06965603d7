/* frame.c - the frame reader: cutting the input differently changes nothing it reports. */
#include "delivery/frame.h"
#include "fuzz.h"

#include <string.h>

/* A running digest of everything reported. */
struct record {
    uint64_t digest;
};

static void note(struct record *record, uint8_t what, const uint8_t *bytes, size_t len)
{
    record->digest = (record->digest ^ what) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < len; i++) {
        record->digest = (record->digest ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    record->digest = (record->digest ^ len) * UINT64_C(0x100000001b3);
}

static bool on_message(void *ctx, enum kj__opcode opcode, uint8_t *data, size_t len)
{
    FUZZ_REQUIRE(opcode == KJ__FRAME_TEXT || opcode == KJ__FRAME_BINARY);
    FUZZ_REQUIRE(opcode != KJ__FRAME_TEXT || kj__utf8_is_valid(data, len));
    note(ctx, (uint8_t)opcode, data, len);
    return true;
}

static bool on_ping(void *ctx, const uint8_t *data, size_t len)
{
    FUZZ_REQUIRE(len <= KJ__CONTROL_PAYLOAD_MAX);
    note(ctx, KJ__FRAME_PING, data, len);
    return true;
}

static bool on_pong(void *ctx)
{
    note(ctx, KJ__FRAME_PONG, NULL, 0);
    return true;
}

static bool on_close(void *ctx, uint16_t code)
{
    note(ctx, KJ__FRAME_CLOSE, (const uint8_t *)&code, sizeof code);
    return false;
}

/* The first byte of the input chooses the role and the size of the pieces. */
static struct record read_in_pieces(const uint8_t *bytes, size_t len, size_t piece,
                                    enum kj__frame_role role)
{
    static const struct kj__frame_events events = {on_message, on_ping, on_pong, on_close};
    const struct kj__frame_limits limits = {
        .message_bytes = 4096, .fragments = 16, .check_utf8 = true, .role = role};
    struct record record = {0};
    struct kj__frame_reader reader;
    struct kj__frame_outcome outcome = {0};
    kj__frame_reader_init(&reader);
    uint8_t *copy = malloc(len + 1);
    FUZZ_REQUIRE(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    for (size_t at = 0; at < len && !outcome.is_stopped && !outcome.code; at += piece) {
        size_t part = len - at < piece ? len - at : piece;
        outcome = kj__frame_reader_feed(&reader, &limits, copy + at, part, &events, &record);
    }
    note(&record, 0, (const uint8_t *)&outcome.code, sizeof outcome.code);
    free(copy);
    kj__frame_reader_fini(&reader);
    return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0) {
        return 0;
    }
    enum kj__frame_role role = bytes[0] & 1 ? KJ__FRAME_CLIENT : KJ__FRAME_SERVER;
    size_t piece = (size_t)(bytes[0] >> 1) + 1;
    struct record whole = read_in_pieces(bytes + 1, len - 1, len, role);
    struct record cut = read_in_pieces(bytes + 1, len - 1, piece, role);
    FUZZ_REQUIRE(whole.digest == cut.digest);
    return 0;
}
