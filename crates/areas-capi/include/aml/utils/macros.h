/* Small macros that the other headers share. */
#ifndef AML_UTILS_MACROS_H
#define AML_UTILS_MACROS_H

/* What an address of that type has to be a multiple of. */
#ifdef __cplusplus
#define AML_ALIGNOF(type) alignof(type)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define AML_ALIGNOF(type) _Alignof(type)
#else
/* Before C11 it is an extension, which compilers know in every mode. */
#define AML_ALIGNOF(type) (__extension__ _Alignof(type))
#endif

/* The least multiple of `align` that is not below `offset`. */
#define AML_ALIGN_UP(offset, align) (((offset) + ((align) - 1)) / (align) * (align))

#endif
