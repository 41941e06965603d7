foreach(subject address buffer map origin queue fields url utf8 timestamp id slab rate)
    kujata_test(base_${subject}_test SOURCES base/${subject}_test.c MODULES base)
endforeach()
kujata_test(metrics_test SOURCES base/metrics_test.c MODULES base LIBRARIES m)
