/* check.h - what cmocka's header needs before it. */
#ifndef KJ_TESTS_UNIT_APP_CHECK_H
#define KJ_TESTS_UNIT_APP_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
