/* SPDX-License-Identifier: Apache-2.0 */
/* The layout in C11; the assembly's view of it is compared when it runs. */
#include "header_layout.h"

#include <stdio.h>

extern const uint64_t abi_in_assembly[3];
int abi_holds_in_cxx(void);

int main(void) {
    const uint64_t expected[3] = {0xFFFFFFFFFFFF1008u, 0xFE002008u, 0x80};
    int wrong = !abi_holds_in_cxx();
    for (int i = 0; i < 3; ++i)
        if (abi_in_assembly[i] != expected[i]) {
            printf("assembly, value %d: found %llx, expected %llx\n", i, (unsigned long long)abi_in_assembly[i], (unsigned long long)expected[i]);
            wrong = 1;
        }
    return wrong;
}
