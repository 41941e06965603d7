kujata_test(server_http_test SOURCES server/server_http_test.c LIBRARIES kujata::static)
set_tests_properties(server_http_test PROPERTIES
    ENVIRONMENT TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp)
