# civetweb, in CIVETWEB_LIBRARY and CIVETWEB_INCLUDE_DIR: compiled from the source that
# scripts/civetweb fetched, or, without it, the system's package. KUJATA_OWN_CIVETWEB says which.
set(KUJATA_CIVETWEB_SOURCE ${PROJECT_SOURCE_DIR}/build/civetweb
    CACHE PATH "Unpacked source of civetweb 1.15 or later, as scripts/civetweb fetches it")

if(EXISTS ${KUJATA_CIVETWEB_SOURCE}/src/civetweb.c)
    set(KUJATA_OWN_CIVETWEB ON)
    # The patch makes its parser of heads strict: where another one may read something else into
    # a head, it is refused (RFC 9112 11.2). Unknown methods and a target of * reach us, the
    # answer to a websocket handshake may have headers of ours, and its socket can be taken. What
    # the door (core/http/door.h) has seen to already is not done again for each connection, and
    # workers are called one at a time, each for all connections that have come.
    find_program(KUJATA_PATCH patch REQUIRED)
    set(kj_civetweb_patch ${PROJECT_SOURCE_DIR}/cmake/civetweb.patch)
    set(kj_civetweb_source ${PROJECT_BINARY_DIR}/civetweb.c)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kj_civetweb_patch})
    execute_process(COMMAND ${KUJATA_PATCH} -s -o ${kj_civetweb_source}.new
                            ${KUJATA_CIVETWEB_SOURCE}/src/civetweb.c ${kj_civetweb_patch}
                    RESULT_VARIABLE kj_civetweb_patched)
    if(NOT kj_civetweb_patched EQUAL 0)
        message(FATAL_ERROR "cmake/civetweb.patch does not fit the civetweb in "
                "${KUJATA_CIVETWEB_SOURCE}: fetch it again with scripts/civetweb")
    endif()
    file(COPY_FILE ${kj_civetweb_source}.new ${kj_civetweb_source} ONLY_IF_DIFFERENT)
    add_library(kj_civetweb STATIC ${kj_civetweb_source})
    # Not our code: neither our warnings nor, since they know of races in it, our sanitizers.
    set_target_properties(kj_civetweb PROPERTIES COMPILE_OPTIONS "-w;-O2;-fno-strict-aliasing")
    target_include_directories(kj_civetweb PRIVATE ${KUJATA_CIVETWEB_SOURCE}/include
                               ${KUJATA_CIVETWEB_SOURCE}/src)
    target_compile_definitions(kj_civetweb PRIVATE USE_WEBSOCKET USE_IPV6 OPENSSL_API_3_0
        NO_SSL_DL NO_CGI NDEBUG accept=kj__door_accept) # core/http/door.h
    target_link_libraries(kj_civetweb PUBLIC OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
    set(CIVETWEB_LIBRARY kj_civetweb)
    set(CIVETWEB_INCLUDE_DIR ${KUJATA_CIVETWEB_SOURCE}/include)
else()
    set(KUJATA_OWN_CIVETWEB OFF)
    message(WARNING "There is no source of civetweb in ${KUJATA_CIVETWEB_SOURCE}: building on the "
            "system's package, which serves plain HTTP and IPv4 only. For TLS and IPv6, run "
            "scripts/civetweb and configure again.")
    find_path(CIVETWEB_PACKAGE_INCLUDE_DIR civetweb.h REQUIRED)
    find_library(CIVETWEB_PACKAGE_LIBRARY civetweb REQUIRED)
    set(CIVETWEB_LIBRARY ${CIVETWEB_PACKAGE_LIBRARY})
    set(CIVETWEB_INCLUDE_DIR ${CIVETWEB_PACKAGE_INCLUDE_DIR})
endif()
