# SPDX-License-Identifier: Apache-2.0
# tidemark_proto_sources(variable): compiles proto/**/*.proto with protobuf-c into
# the build tree and sets 'variable' to the generated sources. The root of the
# .proto files is proto/, so that proto/tidemark/v1/data.proto gives
#
#   #include "proto/tidemark/v1/data.pb-c.h"
#
# and embeds the set of all descriptors for gRPC reflection:
#
#   #include "proto/descriptors.h"    proto_descriptor_set[], proto_descriptor_set_size

set(TIDEMARK_GENERATED_PROTO "${TIDEMARK_GENERATED}/proto")

function(tidemark_proto_sources variable)
    set(root "${CMAKE_SOURCE_DIR}/proto")
    file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${root}" "${root}/*.proto")
    list(FILTER files EXCLUDE REGEX "(^|/)test/")
    set(${variable} "" PARENT_SCOPE)
    if(NOT files)
        return()
    endif()
    find_program(PROTOC protoc REQUIRED)
    find_program(PROTOC_GEN_C protoc-gen-c REQUIRED)
    set(inputs ${files})
    list(TRANSFORM inputs PREPEND "${root}/")

    set(generated "")
    foreach(file ${files})
        string(REGEX REPLACE "\\.proto$" ".pb-c" base "${file}")
        list(APPEND generated "${TIDEMARK_GENERATED_PROTO}/${base}.c"
            "${TIDEMARK_GENERATED_PROTO}/${base}.h")
    endforeach()
    # All at once: any may import any other.
    file(MAKE_DIRECTORY "${TIDEMARK_GENERATED_PROTO}")
    add_custom_command(OUTPUT ${generated}
        COMMAND "${PROTOC}" "--plugin=protoc-gen-c=${PROTOC_GEN_C}"
            "--c_out=${TIDEMARK_GENERATED_PROTO}" "--proto_path=${root}" ${files}
        DEPENDS ${inputs}
        COMMENT "Compiling the .proto files" VERBATIM)

    set(set_file "${CMAKE_BINARY_DIR}/descriptors.bin")
    set(set_source "${TIDEMARK_GENERATED_PROTO}/descriptors.c")
    set(set_header "${TIDEMARK_GENERATED_PROTO}/descriptors.h")
    add_custom_command(OUTPUT "${set_source}" "${set_header}"
        COMMAND "${PROTOC}" "--descriptor_set_out=${set_file}" --include_imports
            "--proto_path=${root}" ${files}
        COMMAND "${CMAKE_COMMAND}" -D "INPUT=${set_file}" -D "SOURCE=${set_source}"
            -D "HEADER=${set_header}" -P "${CMAKE_SOURCE_DIR}/cmake/write_descriptors.cmake"
        DEPENDS ${inputs} "${CMAKE_SOURCE_DIR}/cmake/write_descriptors.cmake"
        COMMENT "Embedding the descriptors" VERBATIM)
    list(APPEND generated "${set_source}" "${set_header}")
    add_custom_target(tidemark_generated_proto DEPENDS ${generated})
    add_dependencies(generated tidemark_generated_proto)
    set(${variable} "${generated}" PARENT_SCOPE)
endfunction()

# The room proto: the generated code in a library of its own, without our
# warnings, under the codecs written by hand.
function(tidemark_proto_room)
    tidemark_proto_sources(generated)
    if(NOT generated)
        tidemark_room(NAME proto DEPS base LIBS protobuf-c)
        return()
    endif()
    add_library(tidemark_proto_generated STATIC ${generated})
    target_compile_options(tidemark_proto_generated PRIVATE -w)
    target_include_directories(tidemark_proto_generated SYSTEM PUBLIC
        "${TIDEMARK_GENERATED}" "${TIDEMARK_GENERATED_PROTO}")
    target_link_libraries(tidemark_proto_generated PUBLIC protobuf-c)
    tidemark_room(NAME proto DEPS base LIBS tidemark_proto_generated lz4 zstd)
endfunction()
