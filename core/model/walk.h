/* walk.h - where in a declaration the checks stand, and what they found wrong there.
 *
 * The same checks serve C declarations and files. They note each step down into the
 * declaration; at a fault the steps stay, so that a file's loader can find the line.
 */
#ifndef KJ_MODEL_WALK_H
#define KJ_MODEL_WALK_H

#include <kujata/error.h>
#include <kujata/status.h>
#include <stddef.h>

enum { KJ__WALK_STEPS_MAX = 8, KJ__WALK_TEXT_MAX = 300 };

/* Into a member of an object, or, when `member` is NULL, into an item of an array. */
struct kj__walk_step {
    const char *member; /* borrowed */
    size_t index;
};

struct kj__walk {
    struct kj__walk_step steps[KJ__WALK_STEPS_MAX];
    size_t step_count;
    const char *identity, *attribute; /* names passed on the way, or NULL */
    char text[KJ__WALK_TEXT_MAX];     /* empty until something fails */
};

void kj__walk_enter_member(struct kj__walk *walk, const char *member);
void kj__walk_enter_item(struct kj__walk *walk, size_t index);
void kj__walk_leave(struct kj__walk *walk);

/* Notes a fault in `member` of where the walk stands (NULL: right here). Returns KJ_EINVAL. */
__attribute__((format(printf, 3, 4))) enum kj_status
kj__walk_fail(struct kj__walk *walk, const char *member, const char *format, ...);

/* Writes `PLACE: identity "x", attribute "y": text`. `place` may be "". */
void kj__walk_explain(const struct kj__walk *walk, const char *place, size_t position,
                      struct kj_error *error);

#endif
