# SPDX-License-Identifier: Apache-2.0
# Run by TidemarkProto.cmake: turns the file INPUT into the C array SOURCE.

file(READ "${INPUT}" hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE "${HEADER}" "/* SPDX-License-Identifier: Apache-2.0 */
/* The serialized google.protobuf.FileDescriptorSet of all .proto files. */
#ifndef TIDEMARK_PROTO_DESCRIPTORS_H
#define TIDEMARK_PROTO_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t proto_descriptor_set[];
extern const size_t proto_descriptor_set_size;

#endif
")
file(WRITE "${SOURCE}" "/* SPDX-License-Identifier: Apache-2.0 */
#include \"proto/descriptors.h\"

const uint8_t proto_descriptor_set[] = {
${bytes}
};
const size_t proto_descriptor_set_size = ${size};
")
