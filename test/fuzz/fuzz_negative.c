/*
 * A target that must fail: it reads past its input once that starts with four certain bytes.
 * Where it survives, the fuzzer or the sanitizer of this build is not at work, and the other
 * targets prove nothing. Without a sanitizer the exit status says that the input was found.
 */
#include <stdlib.h>
#include <string.h>

#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 4 && memcmp(data, "OOPS", 4) == 0) {
        volatile uint8_t past = data[size];

        exit(past == 0 ? 1 : 2);
    }
    return 0;
}
