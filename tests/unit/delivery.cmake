kujata_test(frame_test SOURCES delivery/frame_test.c MODULES delivery codec base)
kujata_test(out_queue_test SOURCES delivery/out_queue_test.c MODULES delivery codec base)
kujata_test(tls_test SOURCES delivery/tls_test.c MODULES delivery codec base)
kujata_test(wheel_test SOURCES delivery/wheel_test.c MODULES delivery codec base)
kujata_test(delivery_test SOURCES delivery/delivery_test.c MODULES delivery codec base)
kujata_test(acceptor_test SOURCES delivery/acceptor_test.c MODULES delivery codec base)
kujata_test(stream_test SOURCES delivery/stream_test.c MODULES delivery codec base)
kujata_test(audience_test SOURCES delivery/audience_test.c delivery/audience_fixture.c
    MODULES delivery codec base)
kujata_test(audience_tls_test SOURCES delivery/audience_tls_test.c delivery/audience_fixture.c
    MODULES delivery codec base)
kujata_test(dispatch_times_test SOURCES delivery/dispatch_times_test.c MODULES delivery codec base)
