/* slab.c - see slab.h. A chunk is aligned to its size, so an object's address leads to it. */
#include "base/slab.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK_SIZE = 64 * 1024, ALIGNMENT = 16, EMPTY_CHUNKS_KEPT = 1 };

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

/* At the start of its memory; the objects follow. */
struct chunk {
    struct kj__list link; /* in kj__slab.partial while there is room */
    size_t used;          /* objects out */
    size_t touched;       /* objects ever given out: those behind are untouched zeroes */
    void *free;           /* objects that came back, each pointing at the next */
};

enum { CHUNK_HEADER = (sizeof(struct chunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };

static size_t objects_per_chunk(const struct kj__slab *slab)
{
    return (CHUNK_SIZE - CHUNK_HEADER) / slab->object_size;
}

static struct chunk *chunk_of(void *object)
{
    return (struct chunk *)((uintptr_t)object & ~(uintptr_t)(CHUNK_SIZE - 1));
}

void kj__slab_init(struct kj__slab *slab, size_t object_size)
{
    *slab = (struct kj__slab){.object_size = (object_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
    pthread_mutex_init(&slab->lock, NULL);
    kj__list_init(&slab->partial);
}

static void unmap(struct chunk *chunk)
{
    ASAN_UNPOISON_MEMORY_REGION(chunk, CHUNK_SIZE);
    munmap(chunk, CHUNK_SIZE);
}

void kj__slab_fini(struct kj__slab *slab)
{
    while (!kj__list_is_empty(&slab->partial)) {
        struct chunk *chunk = KJ__CONTAINER_OF(slab->partial.next, struct chunk, link);
        kj__list_unlink(&chunk->link);
        unmap(chunk);
    }
    pthread_mutex_destroy(&slab->lock);
}

/* Maps twice the size and gives back what lies around an aligned piece. */
static struct chunk *map_chunk(void)
{
    char *room = mmap(NULL, 2 * (size_t)CHUNK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        return NULL;
    }
    size_t before = (size_t)(-(uintptr_t)room & (CHUNK_SIZE - 1));
    if (before > 0) {
        munmap(room, before);
    }
    munmap(room + before + CHUNK_SIZE, CHUNK_SIZE - before);
    struct chunk *chunk = (struct chunk *)(void *)(room + before);
    ASAN_POISON_MEMORY_REGION((char *)chunk + CHUNK_HEADER, CHUNK_SIZE - CHUNK_HEADER);
    kj__list_init(&chunk->link);
    return chunk;
}

static void *take_from(const struct kj__slab *slab, struct chunk *chunk)
{
    void *object = chunk->free;
    if (object) {
        ASAN_UNPOISON_MEMORY_REGION(object, slab->object_size);
        memcpy(&chunk->free, object, sizeof chunk->free);
        memset(object, 0, slab->object_size);
    } else {
        object = (char *)chunk + CHUNK_HEADER + chunk->touched++ * slab->object_size;
        ASAN_UNPOISON_MEMORY_REGION(object, slab->object_size);
    }
    chunk->used++;
    return object;
}

void *kj__slab_take(struct kj__slab *slab)
{
    void *object = NULL;
    pthread_mutex_lock(&slab->lock);
    struct chunk *chunk = NULL;
    if (!kj__list_is_empty(&slab->partial)) {
        chunk = KJ__CONTAINER_OF(slab->partial.next, struct chunk, link);
        slab->empty_chunks -= chunk->used == 0;
    } else if ((chunk = map_chunk())) {
        kj__list_append(&slab->partial, &chunk->link);
    }
    if (chunk) {
        object = take_from(slab, chunk);
        if (chunk->used == objects_per_chunk(slab)) {
            kj__list_unlink(&chunk->link);
        }
    }
    pthread_mutex_unlock(&slab->lock);
    return object;
}

void kj__slab_give(struct kj__slab *slab, void *object)
{
    struct chunk *chunk = chunk_of(object);
    pthread_mutex_lock(&slab->lock);
    if (chunk->used == objects_per_chunk(slab)) {
        kj__list_append(&slab->partial, &chunk->link);
    }
    memcpy(object, &chunk->free, sizeof chunk->free);
    chunk->free = object;
    chunk->used--;
    ASAN_POISON_MEMORY_REGION(object, slab->object_size);
    if (chunk->used == 0 && slab->empty_chunks++ >= EMPTY_CHUNKS_KEPT) {
        slab->empty_chunks--;
        kj__list_unlink(&chunk->link);
        unmap(chunk);
    }
    pthread_mutex_unlock(&slab->lock);
}
