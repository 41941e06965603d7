foreach(part access bahamut body parameters processor query routes idempotency lenient patch meta policy trace)
    kujata_test(rest_${part}_test SOURCES rest/${part}_test.c rest/fixture.c
        MODULES handlers rest delivery model codec base)
endforeach()
kujata_test(rest_memory_test SOURCES rest/memory_test.c rest/fixture.c
    MODULES handlers rest delivery model codec base FAILING_ALLOCATOR)
kujata_test(rest_traffic_test SOURCES rest/traffic_test.c MODULES rest model codec base LIBRARIES m)
target_link_libraries(rest_policy_test PRIVATE ZLIB::ZLIB)
