foreach(name names_test push_test)
    kujata_test(${name} SOURCES gateway/${name}.c MODULES gateway delivery codec pubsub base)
endforeach()
