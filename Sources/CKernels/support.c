#include "CKernels.h"

int kernels_supports_avx2(void) {
#if KERNELS_X86
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
    return 0;
#endif
}

int kernels_supports_avx512(void) {
#if KERNELS_X86
    __builtin_cpu_init();
    return kernels_supports_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#else
    return 0;
#endif
}

int kernels_supports_neon(void) {
#if KERNELS_ARM
    return 1; /* Every AArch64 processor has it. */
#else
    return 0;
#endif
}

#if KERNELS_X86
int kernels_supports_avx512_vnni(void) {
    __builtin_cpu_init();
    return kernels_supports_avx512() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif
