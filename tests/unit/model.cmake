foreach(test declaration file validation conform event parameter filter_parse filter_match filter_random
        filter_walk)
    kujata_test(model_${test}_test SOURCES model/${test}_test.c MODULES model codec base)
endforeach()
target_compile_definitions(model_file_test
    PRIVATE TODO_MODEL="${PROJECT_SOURCE_DIR}/examples/todo/model.json")
target_compile_definitions(model_event_test
    PRIVATE TODO_MODEL="${PROJECT_SOURCE_DIR}/examples/todo/model.json")

# Allocations go through the test, which lets each fail in turn.
kujata_test(model_filter_memory_test SOURCES model/filter_memory_test.c
    MODULES model codec base FAILING_ALLOCATOR)
