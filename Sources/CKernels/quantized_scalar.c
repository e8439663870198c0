/* The specification of the quantised kernels. */
#define SET_ATTRIBUTES
#define SET(name) name##_scalar
#include "quantized_generic.h"

QUANTIZED_TABLE
QUANTIZED_SCAN
QUANTIZED_U4
QUANTIZED_U7
QUANTIZED_NEAREST
QUANTIZED_BUILD
