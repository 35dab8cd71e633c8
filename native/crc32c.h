/*
 * CRC-32C: by the processor's own instruction where it has one (SSE4.2, ARMv8 CRC), else by a
 * table.
 *
 * Source: RFC 3720 B.4; Intel SDM "CRC32"; Arm ARM "CRC32CX"
 */
#ifndef HOLDFAST_CRC32C_H
#define HOLDFAST_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32C of bytes that follow bytes whose CRC-32C is `seed`; 0 for none. */
uint32_t crc32c(uint32_t seed, const void *bytes, size_t length);

#endif
