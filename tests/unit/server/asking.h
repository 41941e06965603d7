/* asking.h - one HTTP request after the other, each on a connection of its own to 127.0.0.1. */
#ifndef KJ_TESTS_SERVER_ASKING_H
#define KJ_TESTS_SERVER_ASKING_H

#include <stdbool.h>
#include <stdint.h>

/* The status. `line` is the method and the target; `headers` end in CRLF. */
int ask(uint16_t port, const char *line, const char *headers, const char *body);

/* Whether a text is somewhere in the last answer, and the body of that. */
bool says(const char *text);
const char *body_of_answer(void);

#endif
