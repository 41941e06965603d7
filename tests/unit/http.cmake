kujata_test(door_test SOURCES http/door_test.c MODULES http rest model codec base LIBRARIES m)
