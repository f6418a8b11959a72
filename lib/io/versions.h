/* Versions of the libraries that this folder stands on, for `version` and bug reports. */
#ifndef RPA_IO_VERSIONS_H
#define RPA_IO_VERSIONS_H

#include "lib/base/buf.h"

/* A line each, "name version\n". hiredis tells no version at run time: the compiled-in one. */
void versions_write(struct buf *out);

#endif
