# SPDX-License-Identifier: Apache-2.0
# How a room is built and tested. A room's CMakeLists.txt is, in full:
#
#   tidemark_room(NAME wal DEPS base io)
#
# tidemark_room(NAME room [DEPS rooms...] [LIBS libraries...] [TEST_DEPS rooms...])
#
#   <room>/*.c             library tidemark_<room>; main*.c and *_main.c are left
#                          out. Linked with the libraries of DEPS, and with LIBS
#                          (imported targets or names) for what it needs outside.
#   <room>/test/test_X.c   executable test_X with the room, testkit and TEST_DEPS;
#                          ctest unit.<room>.X
#   <room>/test/fuzz_X.c   executable fuzz_X around LLVMFuzzerTestOneInput(). In the
#                          preset "fuzz" it explores; in all others it runs the kept
#                          inputs in <room>/test/corpus/X/ and mutations of them.
#                          ctest fuzz.<room>.X
#
# tidemark_program(NAME tidemarkd SOURCES main.c DEPS node)
#   an executable for users, in <build>/bin
#
# tidemark_test(NAME seeds LABEL sim SOURCES main.c DEPS sim node ARGS --seeds 500
#               [TIMEOUT seconds] [SERIAL] [CUNIT])
#   an executable in <build>/test and the ctest <label>.<room>.<name>, for tests
#   that are not one module with fakes. CUNIT: the sources hold TEST()s.

set(TIDEMARK_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=second_deadlock_stack=1")

add_custom_target(fuzz_targets COMMENT "All fuzz targets")

function(tidemark_own_code target)
    target_include_directories(${target} PRIVATE "${CMAKE_SOURCE_DIR}")
    target_include_directories(${target} SYSTEM PRIVATE "${TIDEMARK_GENERATED}")
    target_link_libraries(${target} PRIVATE tidemark_warnings)
    add_dependencies(${target} tidemark_version)
endfunction()

foreach(main test_main fuzz_main)
    add_library(tidemark_${main} OBJECT "${CMAKE_SOURCE_DIR}/testkit/${main}.c")
    tidemark_own_code(tidemark_${main})
endforeach()

function(tidemark_room)
    cmake_parse_arguments(PARSE_ARGV 0 room "" "NAME" "DEPS;LIBS;TEST_DEPS")
    if(room_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "tidemark_room: unknown '${room_UNPARSED_ARGUMENTS}'")
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
    list(FILTER sources EXCLUDE REGEX "/(main[^/]*|[^/]*_main)\\.c$")

    set(libraries ${room_LIBS})
    foreach(dep ${room_DEPS})
        list(APPEND libraries tidemark_${dep})
    endforeach()

    set(target tidemark_${room_NAME})
    if(sources)
        add_library(${target} STATIC ${sources})
        tidemark_own_code(${target})
        target_link_libraries(${target} PUBLIC ${libraries})
    else()
        add_library(${target} INTERFACE)
        target_link_libraries(${target} INTERFACE ${libraries})
    endif()

    file(GLOB tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test/test_*.c")
    foreach(source ${tests})
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "^test_" "" module ${name})
        tidemark_test_executable(${name} CUNIT "${source}" ${room_NAME} ${room_TEST_DEPS})
        tidemark_add_ctest(unit.${room_NAME}.${module} unit 120 ${name})
    endforeach()

    file(GLOB targets CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test/fuzz_*.c")
    foreach(source ${targets})
        tidemark_fuzz_target("${source}" ${room_NAME} ${room_TEST_DEPS})
    endforeach()
endfunction()

# (name, CUNIT or PLAIN, sources, rooms...): an executable in <build>/test.
function(tidemark_test_executable name kind sources)
    add_executable(${name} ${sources})
    if(kind STREQUAL "CUNIT")
        target_link_libraries(${name} PRIVATE tidemark_test_main)
    endif()
    tidemark_own_code(${name})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
    target_compile_definitions(${name} PRIVATE
        "TEST_DATA_DIR=\"${CMAKE_CURRENT_SOURCE_DIR}/test\""
        "TEST_PROGRAM_DIR=\"${CMAKE_BINARY_DIR}/bin\"")
    foreach(room ${ARGN} testkit)
        target_link_libraries(${name} PRIVATE tidemark_${room})
    endforeach()
endfunction()

# (test, label, timeout, command...)
function(tidemark_add_ctest test label timeout)
    math(EXPR timeout "${timeout} * ${TIDEMARK_TIMEOUT_FACTOR}")
    add_test(NAME ${test} COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_BINARY_DIR}")
    set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT ${timeout}
        ENVIRONMENT "${TIDEMARK_TEST_ENVIRONMENT}")
endfunction()

function(tidemark_fuzz_target source room)
    cmake_path(GET source STEM name)
    string(REGEX REPLACE "^fuzz_" "" subject ${name})
    set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/test/corpus/${subject}")
    tidemark_test_executable(${name} PLAIN "${source}" ${room} ${ARGN})
    add_dependencies(fuzz_targets ${name})
    if(TIDEMARK_FUZZ)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        set(found "${CMAKE_BINARY_DIR}/corpus/${subject}")
        file(MAKE_DIRECTORY "${found}")
        math(EXPR timeout "${TIDEMARK_FUZZ_SECONDS} + 120")
        tidemark_add_ctest(fuzz.${room}.${subject} fuzz ${timeout} ${name}
            -max_total_time=${TIDEMARK_FUZZ_SECONDS} -timeout=20 -rss_limit_mb=2048
            -print_final_stats=1 "-artifact_prefix=${found}-" "${found}" "${corpus}")
    else()
        target_link_libraries(${name} PRIVATE tidemark_fuzz_main)
        tidemark_add_ctest(fuzz.${room}.${subject} fuzz 120 ${name} "${corpus}")
    endif()
endfunction()

function(tidemark_program)
    cmake_parse_arguments(PARSE_ARGV 0 program "" "NAME" "SOURCES;DEPS;LIBS")
    add_executable(${program_NAME} ${program_SOURCES})
    tidemark_own_code(${program_NAME})
    set_target_properties(${program_NAME} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
    foreach(room ${program_DEPS})
        target_link_libraries(${program_NAME} PRIVATE tidemark_${room})
    endforeach()
    target_link_libraries(${program_NAME} PRIVATE ${program_LIBS})
endfunction()

function(tidemark_test)
    cmake_parse_arguments(PARSE_ARGV 0 test "SERIAL;CUNIT" "NAME;LABEL;TIMEOUT" "SOURCES;DEPS;LIBS;ARGS")
    if(NOT test_LABEL MATCHES "^(unit|scenario|sim|fuzz|cluster|check)$")
        message(FATAL_ERROR "tidemark_test(${test_NAME}): unknown label '${test_LABEL}'")
    endif()
    if(NOT test_TIMEOUT)
        set(test_TIMEOUT 600)
    endif()
    cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME room)
    set(target ${test_LABEL}_${room}_${test_NAME})
    if(test_CUNIT)
        set(kind CUNIT)
    else()
        set(kind PLAIN)
    endif()
    tidemark_test_executable(${target} ${kind} "${test_SOURCES}" ${test_DEPS})
    target_link_libraries(${target} PRIVATE ${test_LIBS})
    set(name ${test_LABEL}.${room}.${test_NAME})
    tidemark_add_ctest(${name} ${test_LABEL} ${test_TIMEOUT} ${target} ${test_ARGS})
    if(test_SERIAL)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()
