/* locate.h - the JSON text of a declaration: read, and searched for lines.
 *
 * jansson tells the line of a syntax error, but not of a value; so once a value turns out
 * to be wrong, its place is found by walking the text again.
 */
#ifndef KJ_MODEL_LOCATE_H
#define KJ_MODEL_LOCATE_H

#include "model/walk.h"

#include <jansson.h>
#include <stddef.h>

/* Reads one value of any type. Duplicate keys, text behind it and deep nesting are faults,
 * told as jansson tells them. NULL on failure. */
json_t *kj__declaration_read(const char *text, size_t len, json_error_t *fault);

/* The offset of what the walk's steps lead to, in a text that was read without a fault: of
 * a member's key, of an item's start. Where a step leads nowhere, the place reached before. */
size_t kj__declaration_locate(const char *text, size_t len, const struct kj__walk *walk);

/* The line of an offset, counted from 1. */
size_t kj__declaration_line(const char *text, size_t offset);

#endif
