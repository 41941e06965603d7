/* filter_regex.cc - see filter_regex.h. */
#include "model/filter_regex.h"

#include <cstdio>
#include <new>
#include <re2/re2.h>

struct kj__regex {
    kj__regex(const re2::StringPiece &pattern, const RE2::Options &options)
        : expression(pattern, options)
    {
    }
    const RE2 expression;
};

static RE2::Options make_options()
{
    RE2::Options options;
    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(KJ__REGEX_SIZE_MAX);
    return options;
}

extern "C" enum kj_status kj__regex_new(const char *pattern, size_t len, struct kj__regex **regex,
                                        char why[KJ__REGEX_WHY_MAX])
{
    *regex = nullptr;
    try {
        auto *made = new kj__regex(re2::StringPiece(pattern, len), make_options());
        if (made->expression.ok()) {
            *regex = made;
            return KJ_OK;
        }
        bool is_large = made->expression.error_code() == RE2::ErrorPatternTooLarge;
        (void)snprintf(why, KJ__REGEX_WHY_MAX, "%s", made->expression.error().c_str());
        delete made;
        return is_large ? KJ_ELIMIT : KJ_EPARSE;
    } catch (const std::bad_alloc &) {
        return KJ_ENOMEM;
    }
}

extern "C" void kj__regex_free(struct kj__regex *regex)
{
    delete regex;
}

extern "C" enum kj_status kj__regex_match(const struct kj__regex *regex, const char *text,
                                          size_t len, bool *matches)
{
    *matches = false;
    try {
        *matches = regex->expression.Match(re2::StringPiece(text, len), 0, len, RE2::UNANCHORED,
                                           nullptr, 0);
        return KJ_OK;
    } catch (const std::bad_alloc &) {
        return KJ_ENOMEM;
    }
}

extern "C" size_t kj__regex_steps(const struct kj__regex *regex)
{
    return static_cast<size_t>(regex->expression.ProgramSize());
}
