/* fuzz.h - what a fuzz target defines, and how it says that something is wrong. */
#ifndef KJ_TESTS_FUZZ_H
#define KJ_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The bytes are an allocation of just that length. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* An assert that no build turns off. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
