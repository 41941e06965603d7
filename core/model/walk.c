/* walk.c - see walk.h. */
#include "model/walk.h"

#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void kj__walk_enter_member(struct kj__walk *walk, const char *member)
{
    assert(walk->step_count < KJ__WALK_STEPS_MAX);
    walk->steps[walk->step_count++] = (struct kj__walk_step){.member = member};
}

void kj__walk_enter_item(struct kj__walk *walk, size_t index)
{
    assert(walk->step_count < KJ__WALK_STEPS_MAX);
    walk->steps[walk->step_count++] = (struct kj__walk_step){.index = index};
}

void kj__walk_leave(struct kj__walk *walk)
{
    assert(walk->step_count > 0);
    walk->step_count--;
}

enum kj_status kj__walk_fail(struct kj__walk *walk, const char *member, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(walk->text, sizeof walk->text, format, arguments);
    va_end(arguments);
    if (member) {
        kj__walk_enter_member(walk, member);
    }
    return KJ_EINVAL;
}

/* Up to the last index: "identities[2].attributes[0]". */
static void put_items(const struct kj__walk *walk, struct kj__buffer *out)
{
    size_t count = walk->step_count;
    while (count > 0 && walk->steps[count - 1].member) {
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        if (walk->steps[i].member) {
            kj__buffer_printf(out, "%s%s", i ? "." : "", walk->steps[i].member);
        } else {
            kj__buffer_printf(out, "[%zu]", walk->steps[i].index);
        }
    }
    if (count) {
        kj__buffer_append_text(out, ": ");
    }
}

void kj__walk_explain(const struct kj__walk *walk, const char *place, size_t position,
                      struct kj_error *error)
{
    struct kj__buffer who;
    kj__buffer_init(&who);
    if (walk->identity) {
        kj__buffer_printf(&who, "identity \"%s\"%s", walk->identity, walk->attribute ? ", " : ": ");
    } else {
        put_items(walk, &who);
    }
    if (walk->attribute) {
        kj__buffer_printf(&who, "attribute \"%s\": ", walk->attribute);
    }
    kj__buffer_append_byte(&who, '\0');
    kj_error_set(error, position, "%s%s%s%s", place, *place ? ": " : "",
                 who.failed ? "" : (const char *)who.data, walk->text);
    kj__buffer_fini(&who);
}
