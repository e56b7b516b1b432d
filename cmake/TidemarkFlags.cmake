# SPDX-License-Identifier: Apache-2.0
# Compiler and linker flags.
#
#   everything compiled    sanitizers, coverage, frame pointers, hardening: also
#                          libraft and the generated code
#   tidemark_warnings      what our own sources must satisfy, all errors
#
# NDEBUG is never defined: CHECK and libraft's assertions stay on.

include(CheckCCompilerFlag)
include(CheckIPOSupported)
include(CheckPIESupported)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported(LANGUAGES C)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Debug CACHE STRING "Debug or Release" FORCE)
endif()
if(NOT CMAKE_BUILD_TYPE MATCHES "^(Debug|Release)$")
    message(FATAL_ERROR "CMAKE_BUILD_TYPE is ${CMAKE_BUILD_TYPE}: only Debug and Release are defined")
endif()
# Debug optimises a little: simulations run in it, and gcc finds more that way.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")

if(NOT CMAKE_C_COMPILER_LAUNCHER)
    find_program(TIDEMARK_CCACHE ccache)
    if(TIDEMARK_CCACHE)
        set(CMAKE_C_COMPILER_LAUNCHER "${TIDEMARK_CCACHE}")
    endif()
endif()

add_compile_definitions(_POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
add_compile_options(-fno-omit-frame-pointer -fno-strict-aliasing)

# Also in Debug, because glibc marks results that must be used only with it. The
# sanitizers check the same and more, and do not work with it.
if(TIDEMARK_SANITIZE STREQUAL "")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_definitions(TIDEMARK_VERIFY)
else()
    add_compile_options(-fstack-protector-strong)
    foreach(flag -fstack-clash-protection -fcf-protection -mbranch-protection=standard)
        string(MAKE_C_IDENTIFIER "TIDEMARK_HAS_${flag}" has)
        check_c_compiler_flag(${flag} ${has})
        if(${has})
            add_compile_options(${flag})
        endif()
    endforeach()
    add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
    check_ipo_supported(RESULT TIDEMARK_LTO OUTPUT lto_reason LANGUAGES C)
    if(TIDEMARK_LTO)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    else()
        message(STATUS "No link-time optimisation: ${lto_reason}")
    endif()
endif()

set(sanitizers "")
if(TIDEMARK_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined)
elseif(TIDEMARK_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread)
elseif(NOT TIDEMARK_SANITIZE STREQUAL "")
    message(FATAL_ERROR "TIDEMARK_SANITIZE is '${TIDEMARK_SANITIZE}': use address, thread or nothing")
endif()
if(sanitizers)
    add_compile_options(${sanitizers} -fno-sanitize-recover=all)
    add_link_options(${sanitizers})
endif()

if(TIDEMARK_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
        message(FATAL_ERROR "TIDEMARK_FUZZ needs clang: use the preset 'fuzz'")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(TIDEMARK_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()

# gcc warns about the code that its sanitizers insert: errors only without them.
set(warnings_are_errors -Werror)
if(sanitizers AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    set(warnings_are_errors "")
endif()

add_library(tidemark_warnings INTERFACE)
target_compile_options(tidemark_warnings INTERFACE
    ${warnings_are_errors} -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wcast-align -Wformat=2
    -Wundef -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference
    # snprintf is used because it cuts; that it may cut is not news.
    -Wno-format-truncation)
