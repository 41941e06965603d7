kujata_test(door_test SOURCES http/door_test.c MODULES http rest model codec base LIBRARIES m)
kujata_test(proxies_test SOURCES http/proxies_test.c MODULES http rest model codec base LIBRARIES m)
