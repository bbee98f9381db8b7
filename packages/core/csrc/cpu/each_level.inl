// A struct for each instruction set level, whose members are the templates of the file that ATLED_LEVEL_BODY names.
// They are marked ATLED_TARGET; what they call must be ATLED_INLINE.

struct Baseline {
#define ATLED_TARGET
#include ATLED_LEVEL_BODY
#undef ATLED_TARGET
};

#if ATLED_X86_LEVELS
#define ATLED_VECTOR_INSTRUCTIONS
struct Avx2 {
#define ATLED_TARGET ATLED_TARGET_AVX2
#include ATLED_LEVEL_BODY
#undef ATLED_TARGET
};
struct Avx512 {
#define ATLED_TARGET ATLED_TARGET_AVX512
#include ATLED_LEVEL_BODY
#undef ATLED_TARGET
};
#undef ATLED_VECTOR_INSTRUCTIONS
#else
using Avx2 = Baseline;
using Avx512 = Baseline;
#endif

#undef ATLED_LEVEL_BODY
