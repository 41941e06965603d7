kujata_test(server_http_test SOURCES server/server_http_test.c LIBRARIES kujata::static)
set_tests_properties(server_http_test PROPERTIES
    ENVIRONMENT TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp)
kujata_test(server_gateway_ping_test SOURCES server/gateway_ping_test.c
    MODULES server LIBRARIES kujata::static)
