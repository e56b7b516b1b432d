# SPDX-License-Identifier: Apache-2.0
# The consensus core: libraft 0.22.1 from its pinned source, which scripts/setup
# leaves in the cache. Unpacked and compiled here, with our sanitizers and with
# its assertions on. Only the core; none of its input/output code.
#
# Its header is generated. A user must see this one and no other, because a
# header with another choice of "enable_v0" lays out the structs differently.

set(libraft_sha 7e45b6f24f3671c9bfd5b146814493f87cb2e560712bd469c1f5969a4b94291a)
if(DEFINED ENV{TIDEMARK_CACHE})
    set(libraft_tarball "$ENV{TIDEMARK_CACHE}/raft_0.22.1.orig.tar.gz")
else()
    set(libraft_tarball "$ENV{HOME}/.cache/tidemark/raft_0.22.1.orig.tar.gz")
endif()
set(libraft_dir "${CMAKE_BINARY_DIR}/libraft")

if(NOT EXISTS "${libraft_dir}/unpacked-${libraft_sha}")
    if(NOT EXISTS "${libraft_tarball}")
        message(FATAL_ERROR "run scripts/setup (${libraft_tarball} is missing)")
    endif()
    file(SHA256 "${libraft_tarball}" sha_found)
    if(NOT sha_found STREQUAL libraft_sha)
        message(FATAL_ERROR "run scripts/setup (${libraft_tarball} has SHA-256 ${sha_found})")
    endif()
    file(REMOVE_RECURSE "${libraft_dir}")
    file(ARCHIVE_EXTRACT INPUT "${libraft_tarball}" DESTINATION "${libraft_dir}")
    file(GLOB unpacked LIST_DIRECTORIES true "${libraft_dir}/*")
    file(RENAME "${unpacked}" "${libraft_dir}/source")
    file(READ "${libraft_dir}/source/include/raft.h.in" header)
    string(REPLACE "@enable_v0@" "no" header "${header}")
    file(WRITE "${libraft_dir}/source/include/raft.h" "${header}")
    file(WRITE "${libraft_dir}/include/raft.h" "${header}")
    file(TOUCH "${libraft_dir}/unpacked-${libraft_sha}")
endif()

set(libraft_core
    byte client configuration convert election entry err heap membership message progress raft
    random recv recv_append_entries recv_append_entries_result recv_install_snapshot
    recv_request_vote recv_request_vote_result recv_timeout_now replication restore state timeout
    tracing trail)
list(TRANSFORM libraft_core PREPEND "${libraft_dir}/source/src/")
list(TRANSFORM libraft_core APPEND ".c")

add_library(libraft STATIC ${libraft_core})
set_target_properties(libraft PROPERTIES OUTPUT_NAME raft C_VISIBILITY_PRESET hidden)
target_compile_definitions(libraft PRIVATE _GNU_SOURCE)
target_compile_options(libraft PRIVATE -w -Werror=implicit-function-declaration)
# Not the folder of its sources: its "assert.h" would hide the system's.
target_include_directories(libraft PRIVATE "${libraft_dir}/source/include")
target_include_directories(libraft SYSTEM INTERFACE "${libraft_dir}/include")
