/* Allocation that cannot fail: out of memory ends the process (the parent restarts it).
 *
 * So there are no untested ENOMEM branches; in return every size that input can drive has
 * a cap of its own, checked before it gets here. */
#ifndef RPA_BASE_MEM_H
#define RPA_BASE_MEM_H

#include "lib/base/defs.h"

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);

/* Frees the local when its scope ends: `AUTO_FREE char *name = xstrdup(…);` */
#define AUTO_FREE __attribute__((cleanup(mem_auto_free)))
void mem_auto_free(void *pointer_to_pointer);

#endif
