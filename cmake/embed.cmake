# embed.cmake - writes a C file that holds files: cmake -DNAME=chat_pages -DOUTPUT=... -DFILES=a;b
# -P embed.cmake. Each is served at /<its name>, index.html at / too. See app/pages.h.
set(types
    .html "text/html; charset=UTF-8"
    .css "text/css; charset=UTF-8"
    .js "text/javascript; charset=UTF-8")
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS FILES)
    get_filename_component(name "${file}" NAME)
    get_filename_component(extension "${file}" EXT)
    list(FIND types "${extension}" at)
    if(at EQUAL -1)
        message(FATAL_ERROR "${file}: no type is known for ${extension}")
    endif()
    math(EXPR at "${at} + 1")
    list(GET types ${at} type)
    file(SHA256 "${file}" digest)
    string(SUBSTRING "${digest}" 0 32 tag)
    file(READ "${file}" hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char file${number}[] = {${bytes}};\n")
    set(row "\"${type}\", \"\\\"${tag}\\\"\", file${number}, sizeof file${number}}")
    string(APPEND rows "    {\"/${name}\", ${row},\n")
    if(name STREQUAL "index.html")
        string(APPEND rows "    {\"/\", ${row},\n")
    endif()
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}" "#include \"pages.h\"\n
${arrays}
static const struct page pages[] = {
${rows}};
const struct page_set ${NAME} = {pages, sizeof pages / sizeof *pages};
")
