# Writes version.h, touching it only when its text changes.
# Input: SOURCE_DIR, VERSION, IN, OUT.

# A build must not take the index lock from somebody who is committing.
set(ENV{GIT_OPTIONAL_LOCKS} 0)
execute_process(
    COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
    RESULT_VARIABLE status
    OUTPUT_VARIABLE REVISION
    ERROR_QUIET
    OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT status STREQUAL "0")
    set(REVISION unknown)
endif()
configure_file(${IN} ${OUT} @ONLY)
