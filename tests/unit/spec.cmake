foreach(test document pattern)
    kujata_test(spec_${test}_test SOURCES spec/${test}_test.c MODULES spec model codec base)
endforeach()
# Allocations go through the test, which lets each fail in turn.
kujata_test(spec_memory_test SOURCES spec/memory_test.c MODULES spec model codec base
    FAILING_ALLOCATOR)
foreach(test document pattern memory)
    target_compile_definitions(spec_${test}_test
        PRIVATE SPEC_MODEL="${PROJECT_SOURCE_DIR}/tests/e2e/spec.json")
endforeach()
