kujata_test(dispatch_test SOURCES dispatch/dispatch_test.c
    MODULES dispatch delivery model codec pubsub base)
