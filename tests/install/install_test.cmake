# Installs into an empty directory and builds examples/five_lines against nothing but that.
#
#   cmake -DBUILD=... -DSOURCE=... -DCC=... -DCXX=... -DSANITIZE=... -P install_test.cmake
set(root ${BUILD}/install-test)
set(prefix ${root}/prefix)
file(REMOVE_RECURSE ${root})
if(SANITIZE)
    set(flags -fsanitize=${SANITIZE})
endif()

function(run)
    execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output
                    ERROR_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${ARGV}\nended with ${result}:\n${output}")
    endif()
    set(output ${output} PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
foreach(wanted bin/kujata lib/libkujata.so lib/libkujata.so.0 lib/libkujata.a
        include/kujata/kujata.h lib/cmake/kujata/kujataConfig.cmake lib/pkgconfig/kujata.pc)
    if(NOT EXISTS ${prefix}/${wanted})
        message(FATAL_ERROR "${wanted} is not installed")
    endif()
endforeach()

# find_package, shared and static.
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/examples/five_lines -B ${root}/five_lines
    -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_COMPILER=${CC} -DCMAKE_C_FLAGS=${flags})
run(${CMAKE_COMMAND} --build ${root}/five_lines)
run(${root}/five_lines/five_lines)
run(${root}/five_lines/five_lines_static)

# pkg-config.
set(ENV{PKG_CONFIG_PATH} ${prefix}/lib/pkgconfig)
run(pkg-config --cflags --libs kujata)
separate_arguments(from_pkg_config UNIX_COMMAND "${output}")
run(${CC} ${flags} ${SOURCE}/examples/five_lines/main.c ${from_pkg_config}
    -o ${root}/with_pkg_config)
run(${CXX} ${flags} -std=c++17 -Wall -Wextra -Werror -pedantic -x c++
    ${SOURCE}/examples/five_lines/main.c -x none ${from_pkg_config} -o ${root}/in_cpp)
set(ENV{LD_LIBRARY_PATH} ${prefix}/lib)
run(${root}/with_pkg_config)
run(${root}/in_cpp)

# What the shared library shows is the public contract and no more.
run(nm -D --defined-only --format=posix ${prefix}/lib/libkujata.so)
string(REGEX MATCHALL "(^|\n)[^ ]+" names "${output}")
list(TRANSFORM names STRIP)
list(FILTER names EXCLUDE REGEX "^kj_[^_]")
list(FILTER names EXCLUDE REGEX "^(__asan|__ubsan|__tsan|__odr_asan)")
if(names)
    message(FATAL_ERROR "libkujata.so exports more than its interface: ${names}")
endif()
run(${prefix}/bin/kujata --version)
message(STATUS "${output}")
