/* replay.c - runs a fuzz target on the files of a corpus and on mutations of them, or, with
 * --random, on ten million random bytes.
 *
 * For builds without libFuzzer. All of it comes from a fixed seed, so a failure comes back.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { MUTATIONS_PER_FILE = 400, CHANGES_MAX = 8, FILE_MAX = 1 << 20 };

enum { RANDOM_BYTES = 10 * 1000 * 1000, PIECE_MAX = 512 };

static uint64_t random_state = 1;

/* xorshift: small, and the same everywhere. */
static size_t random_below(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % bound);
}

/* Hands over a copy of the right size, so that sanitizers see every read beyond it. */
static void feed(const uint8_t *bytes, size_t len)
{
    uint8_t *exact = calloc(len ? len : 1, 1);
    FUZZ_REQUIRE(exact);
    memcpy(exact, bytes, len);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static void change_one(uint8_t *bytes, size_t *len)
{
    size_t at = random_below(*len);
    switch (random_below(5)) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        bytes[at] = (uint8_t)random_below(256);
        break;
    case 2:
        *len = at + 1;
        break;
    case 3:
        memmove(bytes + at, bytes + at + 1, *len - at - 1);
        *len -= *len > 1;
        break;
    default:
        bytes[at] = bytes[random_below(*len)];
        break;
    }
}

static void feed_mutations(const uint8_t *bytes, size_t len)
{
    uint8_t *changed = malloc(len);
    FUZZ_REQUIRE(changed);
    for (int i = 0; i < MUTATIONS_PER_FILE; i++) {
        size_t changed_len = len;
        memcpy(changed, bytes, len);
        for (size_t changes = 1 + random_below(CHANGES_MAX); changes > 0; changes--) {
            change_one(changed, &changed_len);
        }
        feed(changed, changed_len);
    }
    free(changed);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(FILE_MAX);
    FUZZ_REQUIRE(file && bytes);
    size_t len = fread(bytes, 1, FILE_MAX, file);
    (void)fclose(file);
    feed(bytes, len);
    if (len > 0) {
        feed_mutations(bytes, len);
    }
    free(bytes);
}

static int is_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_name, alphasort);
    FUZZ_REQUIRE(count >= 0);
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        replay_file(path);
        free(entries[i]);
    }
    free(entries);
    return count;
}

/* Every other piece is made of the bytes that mean something to one of the languages read here,
 * since what has none of them is refused at once. */
static void feed_random(void)
{
    static const char meaning[] = "{}[]\":,\\/u0123456789.eE+-truefalsenull =!<>&|%()'_$\n\t"
                                  "\x80\x81\x82\x90\x91\xa1\xa4\xc0\xc4\xca\xcb\xcf\xd6\xd7\xff";
    bool has_meaning = false;
    for (size_t fed = 0; fed < RANDOM_BYTES; has_meaning = !has_meaning) {
        uint8_t piece[PIECE_MAX];
        size_t len = 1 + random_below(PIECE_MAX);
        for (size_t i = 0; i < len; i++) {
            piece[i] = has_meaning ? (uint8_t)meaning[random_below(sizeof meaning - 1)]
                                   : (uint8_t)random_below(256);
        }
        feed(piece, len);
        fed += len;
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--random") == 0) {
        feed_random();
        return 0;
    }
    feed((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat info;
        FUZZ_REQUIRE(stat(argv[i], &info) == 0);
        if (S_ISDIR(info.st_mode)) {
            (void)printf("%s: %d files\n", argv[i], replay_folder(argv[i]));
        } else {
            replay_file(argv[i]);
        }
    }
    return 0;
}
