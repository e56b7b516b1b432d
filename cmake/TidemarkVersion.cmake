# SPDX-License-Identifier: Apache-2.0
# Generates "base/version.h" in the build tree, again on every build, so that
# the commit in it is the one that was built. Only written when it changed.

set(TIDEMARK_GENERATED "${CMAKE_BINARY_DIR}/generated")

add_custom_target(tidemark_version
    COMMAND "${CMAKE_COMMAND}"
        -D "SOURCE_DIR=${CMAKE_SOURCE_DIR}"
        -D "OUTPUT=${TIDEMARK_GENERATED}/base/version.h"
        -D "VERSION=${PROJECT_VERSION}"
        -D "BUILD_TYPE=${CMAKE_BUILD_TYPE}"
        -D "SANITIZE=${TIDEMARK_SANITIZE}"
        -P "${CMAKE_SOURCE_DIR}/cmake/write_version.cmake"
    BYPRODUCTS "${TIDEMARK_GENERATED}/base/version.h"
    COMMENT "" VERBATIM)

# All that must exist before a tool can read the sources: scripts/check uses it.
add_custom_target(generated)
add_dependencies(generated tidemark_version)
