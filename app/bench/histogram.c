/* histogram.c - see histogram.h. */
#include "bench/histogram.h"

#include <stddef.h>

enum { PART_BITS = 7 };

_Static_assert(HISTOGRAM_PARTS == 1 << PART_BITS, "parts are counted in bits");

/* Below 2 * HISTOGRAM_PARTS a value is its own index; above, the index is made of the number
 * of bits cut off and the PART_BITS + 1 leading bits that stay. */
static size_t index_of(uint64_t value)
{
    if (value < 2 * (uint64_t)HISTOGRAM_PARTS) {
        return (size_t)value;
    }
    unsigned cut = 63U - (unsigned)__builtin_clzll(value) - PART_BITS;
    return ((size_t)cut << PART_BITS) + (size_t)(value >> cut);
}

/* The middle of a bucket. */
static uint64_t value_of(size_t index)
{
    if (index < 2 * (size_t)HISTOGRAM_PARTS) {
        return index;
    }
    unsigned cut = (unsigned)(index >> PART_BITS) - 1;
    uint64_t leading = (index & (HISTOGRAM_PARTS - 1)) + HISTOGRAM_PARTS;
    return (leading << cut) + (1ULL << cut) / 2;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->buckets[index_of(value)]++;
    if (value > histogram->maximum) {
        histogram->maximum = value;
    }
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    if (from->maximum > into->maximum) {
        into->maximum = from->maximum;
    }
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t passed = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        passed += histogram->buckets[i];
        if (histogram->buckets[i] > 0 && (double)passed >= wanted) {
            uint64_t value = value_of(i);
            return value < histogram->maximum ? value : histogram->maximum;
        }
    }
    return histogram->maximum;
}
