foreach(name dispatch_test conversion_test interest_test)
    kujata_test(${name} SOURCES dispatch/${name}.c dispatch/fixture.c
        MODULES dispatch delivery model codec pubsub base)
endforeach()
kujata_test(interest_memory_test SOURCES dispatch/interest_memory_test.c
    MODULES dispatch delivery model codec pubsub base FAILING_ALLOCATOR)
