foreach(subject base64 json msgpack kinds convert encoding error_array event publication push_config certificate)
    kujata_test(codec_${subject}_test SOURCES codec/${subject}_test.c MODULES codec base)
endforeach()

# The reader is ours, so it is compared with msgpack-c on random values.
if(TARGET msgpackc)
    target_link_libraries(codec_msgpack_test PRIVATE msgpackc)
else()
    target_link_libraries(codec_msgpack_test PRIVATE msgpackc-static)
endif()

# Allocations of the library go through the test, which lets each fail in turn.
kujata_test(codec_memory_test SOURCES codec/memory_test.c MODULES codec base FAILING_ALLOCATOR)
