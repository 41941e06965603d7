# The library as others get it: every module's objects in one shared and one static library,
# with headers, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)

get_property(kujata_modules GLOBAL PROPERTY KUJATA_MODULES)
set(kujata_objects "")
foreach(module IN LISTS kujata_modules)
    list(APPEND kujata_objects $<TARGET_OBJECTS:${module}>)
endforeach()
if(KUJATA_OWN_CIVETWEB)
    list(APPEND kujata_objects $<TARGET_OBJECTS:kj_civetweb>)
else()
    set(kujata_civetweb $<BUILD_INTERFACE:${CIVETWEB_LIBRARY}> $<INSTALL_INTERFACE:civetweb>)
    set(kujata_pc_civetweb "-lcivetweb ")
endif()

# Only kj_ names that are not kj__ are the library's interface.
set(kujata_map ${PROJECT_BINARY_DIR}/kujata.map)
file(CONFIGURE OUTPUT ${kujata_map} CONTENT "{ global: kj_[!_]*; local: *; };\n")

add_library(kujata SHARED ${kujata_objects})
add_library(kujata_static STATIC ${kujata_objects})
set_target_properties(kujata PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${kujata_map})
set_target_properties(kujata_static PROPERTIES OUTPUT_NAME kujata EXPORT_NAME static)
target_link_options(kujata PRIVATE -Wl,--version-script=${kujata_map})
if(NOT KUJATA_SANITIZE)
    target_link_options(kujata PRIVATE -Wl,-z,defs) # a sanitizer's symbols come with the program
endif()

foreach(library kujata kujata_static)
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${library} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PUBLIC PkgConfig::JANSSON PRIVATE msgpackc OpenSSL::SSL
                          OpenSSL::Crypto ZLIB::ZLIB Threads::Threads m curl jwt re2 sodium sqlite3 stdc++
                          ${URING_LIBRARIES}
                          ${kujata_civetweb}
                          $<BUILD_INTERFACE:${NATS_LIBRARY}> $<INSTALL_INTERFACE:nats>)
endforeach()
add_library(kujata::kujata ALIAS kujata)
add_library(kujata::static ALIAS kujata_static)

set(kujata_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kujata)
install(TARGETS kujata kujata_static EXPORT kujata)
install(DIRECTORY include/kujata DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(EXPORT kujata NAMESPACE kujata:: FILE kujataTargets.cmake
        DESTINATION ${kujata_package_dir})
configure_package_config_file(cmake/kujataConfig.cmake.in
    ${PROJECT_BINARY_DIR}/kujataConfig.cmake INSTALL_DESTINATION ${kujata_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kujataConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kujataConfig.cmake
              ${PROJECT_BINARY_DIR}/kujataConfigVersion.cmake
        DESTINATION ${kujata_package_dir})

# The paths in it start from the file itself, so that the installed tree may be moved.
file(RELATIVE_PATH kujata_pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" kujata_pc_prefix ${kujata_pc_prefix})
if(URING_FOUND)
    set(kujata_pc_uring -luring)
endif()
configure_file(cmake/kujata.pc.in ${PROJECT_BINARY_DIR}/kujata.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kujata.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
