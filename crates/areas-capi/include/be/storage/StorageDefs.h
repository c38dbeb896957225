/* What OS.h brings of files: the C library's headers that BeOS's and Haiku's brings, limits, and
 * how files are opened. */
#ifndef AREAS_BE_STORAGE_STORAGEDEFS_H
#define AREAS_BE_STORAGE_STORAGEDEFS_H

#include <fcntl.h>
#include <limits.h>
#include <sys/param.h>
/* There, fcntl.h includes these. */
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define B_DEV_NAME_LENGTH 128
#define B_FILE_NAME_LENGTH NAME_MAX
#define B_PATH_NAME_LENGTH MAXPATHLEN
#define B_ATTR_NAME_LENGTH (B_FILE_NAME_LENGTH - 1)
#define B_MIME_TYPE_LENGTH (B_ATTR_NAME_LENGTH - 15)
/* As many as Linux follows. */
#define B_MAX_SYMLINKS 40

#define B_READ_ONLY O_RDONLY
#define B_WRITE_ONLY O_WRONLY
#define B_READ_WRITE O_RDWR
#define B_FAIL_IF_EXISTS O_EXCL
#define B_CREATE_FILE O_CREAT
#define B_ERASE_FILE O_TRUNC
#define B_OPEN_AT_END O_APPEND

enum node_flavor {
	B_FILE_NODE = 0x01,
	B_SYMLINK_NODE = 0x02,
	B_DIRECTORY_NODE = 0x04,
	B_ANY_NODE = 0x07
};

#endif
