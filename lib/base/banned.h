/* Functions of libc that have no safe use here; each names what to use instead. */
#ifndef RPA_BASE_BANNED_H
#define RPA_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RPA_BANNED(f, instead) f##_is_banned__use_##instead

#undef strcpy
#define strcpy(d, s) RPA_BANNED(strcpy, str_copy)
#undef strcat
#define strcat(d, s) RPA_BANNED(strcat, buf_add)
#undef strncpy
#define strncpy(d, s, n) RPA_BANNED(strncpy, str_copy)
#undef strncat
#define strncat(d, s, n) RPA_BANNED(strncat, buf_add)
#undef sprintf
#define sprintf(...) RPA_BANNED(sprintf, snprintf)
#undef vsprintf
#define vsprintf(...) RPA_BANNED(vsprintf, vsnprintf)
#undef strtok
#define strtok(s, d) RPA_BANNED(strtok, sv_split)
#undef atoi
#define atoi(s) RPA_BANNED(atoi, sv_to_u64)
#undef atol
#define atol(s) RPA_BANNED(atol, sv_to_u64)
#undef atof
#define atof(s) RPA_BANNED(atof, strtod)
#undef gmtime
#define gmtime(t) RPA_BANNED(gmtime, gmtime_r)
#undef localtime
#define localtime(t) RPA_BANNED(localtime, localtime_r)
#undef ctime
#define ctime(t) RPA_BANNED(ctime, strftime)

#endif
