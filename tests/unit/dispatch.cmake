foreach(name dispatch_test conversion_test endings_test expiry_test interest_test position_test renewal_test replay_test
        session_test strikes_test
        subject_test)
    kujata_test(${name} SOURCES dispatch/${name}.c dispatch/fixture.c
        MODULES dispatch delivery model codec pubsub base)
endforeach()
foreach(name interest_memory_test recent_test row_index_test)
    kujata_test(${name} SOURCES dispatch/${name}.c
        MODULES dispatch delivery model codec pubsub base FAILING_ALLOCATOR)
endforeach()
