/* suite.h - the promises of <kujata/pubsub.h>, each tested by behaviour.
 *
 * A backend's test says how to open it and runs the suite; see local_contract.c.
 */
#ifndef KJ_TEST_SUITE_H
#define KJ_TEST_SUITE_H

#include <kujata/pubsub.h>

/* Opens a fresh backend that reports to `errors`; fails the test when it cannot. */
typedef struct kj_pubsub *(*suite_open)(const struct kj_pubsub_errors *errors);

/* Returns the exit status for main. */
int suite_run(const char *name, suite_open open);

#endif
