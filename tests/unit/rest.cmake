foreach(part access bahamut body memory processor query routes)
    kujata_test(rest_${part}_test SOURCES rest/${part}_test.c rest/fixture.c
        MODULES handlers rest model codec base)
endforeach()
target_link_options(rest_memory_test PRIVATE
    -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup)
kujata_test(rest_traffic_test SOURCES rest/traffic_test.c MODULES rest model codec base LIBRARIES m)
