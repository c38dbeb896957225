/* The types of BeOS and Haiku, and how to print them. */
#ifndef AREAS_BE_SUPPORT_SUPPORTDEFS_H
#define AREAS_BE_SUPPORT_SUPPORTDEFS_H

#include "Errors.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#ifndef __cplusplus
#	include <stdbool.h>
#endif

typedef int8_t int8;
typedef uint8_t uint8;
typedef int16_t int16;
typedef uint16_t uint16;
typedef int32_t int32;
typedef uint32_t uint32;
typedef int64_t int64;
typedef uint64_t uint64;

typedef volatile int8 vint8;
typedef volatile uint8 vuint8;
typedef volatile int16 vint16;
typedef volatile uint16 vuint16;
typedef volatile int32 vint32;
typedef volatile uint32 vuint32;
typedef volatile int64 vint64;
typedef volatile uint64 vuint64;

typedef unsigned char uchar;
typedef unsigned short unichar;

/* B_OK or more, or an error below 0. */
typedef int32 status_t;
/* Microseconds. */
typedef int64 bigtime_t;
typedef uint32 type_code;
typedef uint32 perform_code;
/* An address as a number. */
typedef uintptr_t addr_t;
typedef uint64 phys_addr_t;
typedef uint64 phys_size_t;
typedef uintptr_t generic_addr_t;
typedef uintptr_t generic_size_t;

#define B_PRId8 PRId8
#define B_PRIi8 PRIi8
#define B_PRIo8 PRIo8
#define B_PRIu8 PRIu8
#define B_PRIx8 PRIx8
#define B_PRIX8 PRIX8
#define B_PRId16 PRId16
#define B_PRIi16 PRIi16
#define B_PRIo16 PRIo16
#define B_PRIu16 PRIu16
#define B_PRIx16 PRIx16
#define B_PRIX16 PRIX16
#define B_PRId32 PRId32
#define B_PRIi32 PRIi32
#define B_PRIo32 PRIo32
#define B_PRIu32 PRIu32
#define B_PRIx32 PRIx32
#define B_PRIX32 PRIX32
#define B_PRId64 PRId64
#define B_PRIi64 PRIi64
#define B_PRIo64 PRIo64
#define B_PRIu64 PRIu64
#define B_PRIx64 PRIx64
#define B_PRIX64 PRIX64

#define B_PRIuSIZE "zu"
#define B_PRIoSIZE "zo"
#define B_PRIxSIZE "zx"
#define B_PRIXSIZE "zX"
#define B_PRIdSSIZE "zd"
#define B_PRIiSSIZE "zi"

#define B_PRIuADDR PRIuPTR
#define B_PRIoADDR PRIoPTR
#define B_PRIxADDR PRIxPTR
#define B_PRIXADDR PRIXPTR
#define B_PRI_ADDR "#018" PRIxPTR

#define B_PRIuPHYSADDR PRIu64
#define B_PRIxPHYSADDR PRIx64

#define B_PRIdOFF PRId64
#define B_PRIiOFF PRIi64

#define B_PRIdBIGTIME PRId64
#define B_PRIiBIGTIME PRIi64

#ifndef min_c
#	define min_c(a, b) ((a) > (b) ? (b) : (a))
#	define max_c(a, b) ((a) > (b) ? (a) : (b))
#endif

#endif
