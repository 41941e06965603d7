foreach(name names_test push_test)
    kujata_test(${name} SOURCES gateway/${name}.c MODULES gateway delivery codec pubsub base)
endforeach()
foreach(name broadcast_test excess_test home_test races_test rooms_test users_test walk_test wants_test)
    kujata_test(${name} SOURCES gateway/${name}.c gateway/fixture.c
        MODULES gateway delivery codec pubsub base)
endforeach()
kujata_test(presence_book_test SOURCES gateway/presence_book_test.c
    MODULES presence gateway delivery codec pubsub base)
kujata_test(presence_test SOURCES gateway/presence_test.c gateway/fixture.c
    MODULES presence gateway delivery codec pubsub base)
kujata_test(gateway_memory_test SOURCES gateway/memory_test.c
    MODULES native presence handlers gateway delivery codec pubsub rest model base FAILING_ALLOCATOR)
kujata_test(goim_memory_test SOURCES gateway/goim_memory_test.c
    MODULES goim presence gateway delivery codec pubsub base FAILING_ALLOCATOR)
kujata_test(gopush_test SOURCES gateway/gopush_test.c gateway/fixture.c
    MODULES gopush gateway delivery codec pubsub base)
kujata_test(profiles_memory_test SOURCES gateway/profiles_memory_test.c
    MODULES gopush healing handlers gateway delivery codec pubsub rest model base FAILING_ALLOCATOR)
kujata_test(healing_test SOURCES gateway/healing_test.c gateway/fixture.c
    MODULES healing handlers gateway delivery codec pubsub rest model base)
