foreach(part auth_threads jwt_text store store_processor store_random store_threads)
    kujata_test(handlers_${part}_test SOURCES handlers/${part}_test.c rest/fixture.c
        MODULES handlers rest delivery model codec base)
endforeach()
kujata_test(handlers_namespaces_test SOURCES handlers/namespaces_test.c dispatch/fixture.c
    MODULES handlers dispatch rest delivery model codec pubsub base)
