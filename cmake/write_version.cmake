# SPDX-License-Identifier: Apache-2.0
# Run by TidemarkVersion.cmake: writes OUTPUT from version.h.in.

set(COMMIT "")
find_program(GIT git)
if(GIT)
    execute_process(
        COMMAND "${GIT}" describe --always --dirty --abbrev=12 --exclude=*
        WORKING_DIRECTORY "${SOURCE_DIR}"
        OUTPUT_VARIABLE COMMIT ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
# An image is built from a copy without history: it passes the commit along.
if(COMMIT STREQUAL "")
    set(COMMIT "$ENV{TIDEMARK_COMMIT}")
endif()
if(COMMIT STREQUAL "")
    set(COMMIT "unknown")
endif()
if(NOT SANITIZE STREQUAL "")
    string(APPEND BUILD_TYPE "+${SANITIZE}")
endif()
configure_file("${SOURCE_DIR}/cmake/version.h.in" "${OUTPUT}" @ONLY)
