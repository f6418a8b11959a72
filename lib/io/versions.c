#include "lib/io/versions.h"

#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <microhttpd.h>
#include <uv.h>

void versions_write(struct buf *out)
{
    buf_addf(out, "libuv %s\nhiredis %d.%d.%d\n%s\nlibmicrohttpd %s\n", uv_version_string(),
             HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, curl_version(), MHD_get_version());
}
