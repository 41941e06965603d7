foreach(part auth_rules auth_threads jwt_text)
    kujata_test(handlers_${part}_test SOURCES handlers/${part}_test.c rest/fixture.c
        MODULES handlers rest delivery model codec base)
endforeach()
# What every storage promises is tested on each of them.
foreach(part store store_bytes store_processor store_random store_threads)
    set(sources handlers/${part}_test.c handlers/storage.c rest/fixture.c)
    if(part MATCHES "bytes|processor")
        list(APPEND sources handlers/stored_lists.c)
    endif()
    kujata_test(handlers_${part}_test SOURCES ${sources}
        MODULES handlers rest delivery model codec base)
    kujata_test(handlers_${part}_sqlite_test SOURCES ${sources}
        MODULES handlers rest delivery model codec base)
    target_compile_definitions(handlers_${part}_sqlite_test PRIVATE STORAGE_SQLITE)
endforeach()
# What only the one in SQLite does.
foreach(part count filter log memory own pool)
    set(allocator "")
    if(part STREQUAL memory)
        set(allocator FAILING_ALLOCATOR)
    endif()
    kujata_test(handlers_store_sqlite_${part}_test
        SOURCES handlers/store_sqlite_${part}_test.c handlers/storage.c rest/fixture.c
        MODULES handlers rest delivery model codec base ${allocator})
    target_compile_definitions(handlers_store_sqlite_${part}_test PRIVATE STORAGE_SQLITE)
endforeach()
kujata_test(handlers_namespaces_test SOURCES handlers/namespaces_test.c dispatch/fixture.c
    MODULES handlers dispatch rest delivery model codec pubsub base)
# The message store, in memory and in a file, and what only the one in a file does.
foreach(name messages_test messages_in_file_test messages_file_test)
    string(REPLACE "_in_file" "" source ${name})
    kujata_test(handlers_${name} SOURCES handlers/${source}.c handlers/storage.c
        MODULES handlers rest delivery model codec base)
endforeach()
target_compile_definitions(handlers_messages_in_file_test PRIVATE MESSAGES_FILE)
kujata_test(handlers_messages_memory_test
    SOURCES handlers/messages_memory_test.c handlers/storage.c
    MODULES handlers rest delivery model codec base FAILING_ALLOCATOR)
kujata_test(handlers_accounts_test SOURCES handlers/accounts_test.c MODULES accounts codec base)
kujata_test(handlers_accounts_threads_test SOURCES handlers/accounts_threads_test.c
    MODULES accounts codec base)
kujata_test(handlers_accounts_memory_test SOURCES handlers/accounts_memory_test.c
    MODULES gochat presence accounts gateway delivery codec pubsub base FAILING_ALLOCATOR)
kujata_test(handlers_gochat_test SOURCES handlers/gochat_test.c
    MODULES gochat presence accounts gateway delivery codec pubsub base)
