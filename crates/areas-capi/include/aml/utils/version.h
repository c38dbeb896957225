/* The version of AML's interface that this is: at compile time, and that of the library. */
#ifndef AML_UTILS_VERSION_H
#define AML_UTILS_VERSION_H

#define AML_VERSION_MAJOR 0
#define AML_VERSION_MINOR 2
#define AML_VERSION_PATCH 1
#define AML_VERSION_REVISION ""
#define AML_VERSION_STRING "0.2.1"

#ifdef __cplusplus
extern "C" {
#endif

extern const int aml_version_major;
extern const int aml_version_minor;
extern const int aml_version_patch;
extern const char *aml_version_revision;
extern const char *aml_version_string;

#ifdef __cplusplus
}
#endif

#endif
