# shellcheck shell=bash
# gates.sh - the steps of scripts/test. Each returns non-zero where something is wrong.

source_folders=(app core examples handlers include pubsub)
test_folders=(bench tests)
file_lines_max=600

# stage TITLE COMMAND...: runs a step under a heading; a step that fails ends the script.
stage() {
    local title=$1
    shift
    printf '\n==> %s\n' "$title"
    if ! "$@"; then
        echo "FAILED: $title" >&2
        exit 1
    fi
}

# list_sources FOLDER...: every C and C++ file in those that exist, NUL at the end of each name.
list_sources() {
    local folder present=()
    for folder in "$@"; do
        if [ -d "$folder" ]; then
            present+=("$folder")
        fi
    done
    find "${present[@]}" '(' -name '*.[ch]' -o -name '*.cc' ')' -print0
}

check_format() {
    list_sources "${source_folders[@]}" "${test_folders[@]}" | xargs -0 clang-format --dry-run -Werror
}

# As with functions, which clang-tidy measures, tests may be longer. clang-format breaks no comments.
check_lengths() {
    list_sources "${source_folders[@]}" | xargs -0 awk -v max=$file_lines_max '
        FNR == max + 1 { print FILENAME ": more than " max " lines"; long = 1 }
        length() > 100 { print FILENAME ":" FNR ": more than 100 columns"; long = 1 }
        END { exit long }'
}

# Over the sources of the library, the program and the examples. Nothing is built: the analyzer
# takes the flags of a debug build, in which it sees the assertions.
check_tidy() {
    local build=build/tidy
    cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang \
        -DCMAKE_CXX_COMPILER=clang++ >/dev/null
    /usr/bin/python3 /usr/bin/run-clang-tidy -quiet -p $build -j "$(nproc)" \
        "$PWD/(app|core|examples|handlers|pubsub)/" >$build/clang-tidy.log 2>&1 || {
        grep -A 4 -E '(warning|error):' $build/clang-tidy.log
        return 1
    }
}

build_preset() {
    cmake --preset "$1" >"/dev/null" && cmake --build --preset "$1"
}

# test_preset PRESET [CTEST FLAGS...]: two tests at a time, since most of them wait for something.
test_preset() {
    local preset=$1
    shift
    ctest --test-dir "build/$preset" --output-on-failure -j 2 "$@"
}
