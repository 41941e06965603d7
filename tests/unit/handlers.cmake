foreach(part store store_processor store_random store_threads)
    kujata_test(handlers_${part}_test SOURCES handlers/${part}_test.c rest/fixture.c
        MODULES handlers rest model codec base)
endforeach()
