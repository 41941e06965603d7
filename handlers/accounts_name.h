/* accounts_name.h - which names and passwords an account may have; NULL is none. */
#ifndef KJ_HANDLERS_ACCOUNTS_NAME_H
#define KJ_HANDLERS_ACCOUNTS_NAME_H

#include <stdbool.h>

bool kj__account_is_name(const char *name);
bool kj__account_is_password(const char *password);

#endif
