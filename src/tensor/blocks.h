// The blocks that quantized rows consist of, as they lie in GGUF files: ggml's layouts (ggml-common.h), little-endian.
// Fields named d, m, dmin are the bits of IEEE halves. Blocks are byte-packed: in a file they lie at any address.
#pragma once

#include <cstdint>

namespace godwit {

#pragma pack(push, 1)

/// 32 elements: (q - 8) * d. The low nibbles of qs are elements 0 to 15, the high ones 16 to 31, in all 4-bit types
/// of 32.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};

/// 32 elements: q * d + m.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};

/// 32 elements: (q - 16) * d; bit i of qh is the fifth bit of element i.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};

/// 32 elements: q * d + m; qh as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};

/// 32 elements: q * d.
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};

/// 256 elements in 16 groups of 16: d * (scale & 15) * q - dmin * (scale >> 4), q of 2 bits.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};

/// 256 elements in 16 groups of 16: d * scale * q, scales of 6 bits less 32, q of 2 bits less 4 where hmask has a 0.
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};

/// 256 elements in 8 groups of 32: d * scale * q - dmin * minimum, scales and minimums of 6 bits, q of 4.
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};

/// As Q4_K with a fifth bit: bit j of qh[l] belongs to element l of group j.
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};

/// 256 elements in 16 groups of 16: d * scale * (q - 32), q of 6 bits.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};

/// 32 elements: kIq4Values[q] * d.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};

/// 256 elements in 8 groups of 32: d * (scale - 32) * kIq4Values[q]; the scale has 4 bits in scales_l, 2 in scales_h.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

/// 32 elements: kMxfp4Values[q] * 2^(e - 128).
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};

/// 256 elements of -1, 0 or 1 times d: five to a byte of qs, four to a byte of qh.
struct BlockTQ1_0 {
  uint8_t qs[48];
  uint8_t qh[4];
  uint16_t d;
};

/// 256 elements: (q - 1) * d, q of 2 bits.
struct BlockTQ2_0 {
  uint8_t qs[64];
  uint16_t d;
};

#pragma pack(pop)

static_assert(sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockQ2_K) == 84);
static_assert(sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockIQ4_XS) == 136);
static_assert(sizeof(BlockMXFP4) == 17);
static_assert(sizeof(BlockTQ1_0) == 54);
static_assert(sizeof(BlockTQ2_0) == 66);

/// What the 4-bit codes of IQ4_NL and IQ4_XS stand for.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// Twice the values of the 4-bit float E2M1, which are 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
inline constexpr int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace godwit
