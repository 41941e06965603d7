set(app_folder ${PROJECT_SOURCE_DIR}/app)
kujata_test(app_bench_histogram_test SOURCES app/bench_histogram_test.c
            ${app_folder}/bench/histogram.c)
kujata_test(app_bench_order_test SOURCES app/bench_order_test.c ${app_folder}/bench/order.c)
kujata_test(app_bench_wire_test SOURCES app/bench_wire_test.c ${app_folder}/bench/wire.c
            ${app_folder}/bench/shared.c LIBRARIES kujata::static)
kujata_test(app_options_test SOURCES app/options_test.c ${app_folder}/options.c)
target_include_directories(app_options_test PRIVATE ${app_folder})
foreach(subject histogram order wire)
    target_include_directories(app_bench_${subject}_test PRIVATE ${app_folder})
endforeach()
