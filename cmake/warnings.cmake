# One set of flags for everything built here.
add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wvla -Werror -fno-strict-aliasing
                    "$<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes;-Wmissing-prototypes>")
if(KUJATA_SANITIZE)
    add_compile_options(-fsanitize=${KUJATA_SANITIZE} -fno-omit-frame-pointer -g
                        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${KUJATA_SANITIZE})
endif()
