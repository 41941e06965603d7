# A module is one folder, one target and one set of arrows: it sees its own headers and those
# of the modules it names, and no others. Each folder's parent is mirrored by a directory that
# holds a link to that folder alone, so "codec/json.h" is found only by those allowed to.
#
#   kujata_module(codec PATH core/codec SOURCES json.c event.c MAY_INCLUDE base)
set_property(GLOBAL PROPERTY KUJATA_MODULES "")

function(kujata_module name)
    cmake_parse_arguments(ARG "NO_PUBLIC_HEADERS" "PATH" "SOURCES;MAY_INCLUDE;LIBRARIES" ${ARGN})
    set(folder ${PROJECT_SOURCE_DIR}/${ARG_PATH})
    get_filename_component(folder_name ${folder} NAME)
    set(mirror ${PROJECT_BINARY_DIR}/arrows/${name})
    file(MAKE_DIRECTORY ${mirror})
    file(CREATE_LINK ${folder} ${mirror}/${folder_name} SYMBOLIC)

    list(TRANSFORM ARG_SOURCES PREPEND ${folder}/)
    add_library(kj_${name} OBJECT ${ARG_SOURCES})
    target_include_directories(kj_${name} PUBLIC ${mirror})
    if(NOT ARG_NO_PUBLIC_HEADERS)
        target_link_libraries(kj_${name} PUBLIC kj_include)
    endif()
    foreach(other IN LISTS ARG_MAY_INCLUDE)
        target_link_libraries(kj_${name} PUBLIC kj_${other})
    endforeach()
    target_link_libraries(kj_${name} PUBLIC ${ARG_LIBRARIES})
    set_property(GLOBAL APPEND PROPERTY KUJATA_MODULES kj_${name})
endfunction()
