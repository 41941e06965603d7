kujata_test(server_http_test SOURCES server/server_http_test.c LIBRARIES kujata::static)
target_compile_definitions(server_http_test PRIVATE
    KJ__OWN_CIVETWEB=$<BOOL:${KUJATA_OWN_CIVETWEB}>)
kujata_test(server_messages_test SOURCES server/messages_test.c LIBRARIES kujata::static)
kujata_test(server_mount_test SOURCES server/mount_test.c LIBRARIES kujata::static)
foreach(part push_api route)
    kujata_test(server_${part}_test SOURCES server/${part}_test.c server/asking.c
        LIBRARIES kujata::static)
endforeach()
kujata_test(server_stream_test SOURCES server/stream_test.c server/stream_fixture.c
    LIBRARIES kujata::static)
kujata_test(server_stream_tls_test SOURCES server/stream_tls_test.c server/stream_fixture.c
    LIBRARIES kujata::static OpenSSL::SSL OpenSSL::Crypto)
kujata_test(server_gateway_ping_test SOURCES server/gateway_ping_test.c
    MODULES server LIBRARIES kujata::static)
get_property(modules GLOBAL PROPERTY KUJATA_MODULES)
kujata_test(server_memory_test SOURCES server/memory_test.c LIBRARIES ${modules} m
    FAILING_ALLOCATOR)
target_link_options(server_memory_test PRIVATE LINKER:--wrap=mg_start2)

# Those that start a whole server.
set_tests_properties(server_http_test server_memory_test server_messages_test server_mount_test
    server_push_api_test
    server_route_test server_stream_test server_stream_tls_test PROPERTIES
    ENVIRONMENT TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp)
