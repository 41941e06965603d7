foreach(name names_test push_test)
    kujata_test(${name} SOURCES gateway/${name}.c MODULES gateway delivery codec pubsub base)
endforeach()
foreach(name races_test rooms_test users_test wants_test)
    kujata_test(${name} SOURCES gateway/${name}.c gateway/fixture.c
        MODULES gateway delivery codec pubsub base)
endforeach()
kujata_test(gateway_memory_test SOURCES gateway/memory_test.c
    MODULES native handlers gateway delivery codec pubsub rest model base FAILING_ALLOCATOR)
kujata_test(goim_memory_test SOURCES gateway/goim_memory_test.c
    MODULES goim gateway delivery codec pubsub base FAILING_ALLOCATOR)
