/* stored_lists.h - lists in the storage under test, served over REST. */
#ifndef KJ_TESTS_HANDLERS_STORED_LISTS_H
#define KJ_TESTS_HANDLERS_STORED_LISTS_H

#include "unit/handlers/storage.h"
#include "unit/rest/fixture.h"

extern struct fixture fixture;

int set_up(void **state);
int tear_down(void **state);

/* "n0" and so on, described as "a" and "b" in turn. */
void create_lists(int count, char ids[][KJ_OBJECT_ID_SIZE]);

/* Names of the answer's objects, as in "n0 n1"; static. */
const char *names(void);

/* The same of what is fetched first. */
const char *list_names(const char *target);

#endif
