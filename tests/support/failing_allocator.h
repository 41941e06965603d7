/* failing_allocator.h - an allocator that fails when a test says so.
 *
 * A test made with FAILING_ALLOCATOR (see tests/CMakeLists.txt) has its own allocations and those
 * of the modules it is linked with come through here; a library's own are left alone. [any thread]
 */
#ifndef KJ_TESTS_SUPPORT_FAILING_ALLOCATOR_H
#define KJ_TESTS_SUPPORT_FAILING_ALLOCATOR_H

#include <stdbool.h>

/* That many calls succeed, then one fails; or all that follow, with `for_good`. Until then, and
 * after a negative number, none does. */
void allocator_fail_after(long calls, bool for_good);

/* Ends it, and says whether one failed. */
bool allocator_recover(void);

/* While this thread is spared, none of its calls fails or counts. */
void allocator_spare(bool is_spared);

#endif
