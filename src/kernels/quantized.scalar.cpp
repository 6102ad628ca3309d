// The block formats of ggml (ggml-common.h, ggml-quants.c), read as codes, scales and minimums.
#include "kernels/quantized.h"

#include <bit>
#include <cstring>

#include "tensor/float16.h"
#include "tensor/repack.h"

namespace godwit::scalar {

namespace {

const uint8_t* bytes_of(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }

float half_at(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, 2);
  return f16_to_f32(bits);
}

// Nibbles of a block of 32: code j in the low half of byte j, code j + 16 in the high half.
void unpack_nibbles(const uint8_t* qs, int offset, int8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = static_cast<int8_t>((qs[j] & 15) - offset);
    codes[j + 16] = static_cast<int8_t>((qs[j] >> 4) - offset);
  }
}

void add_fifth_bits(const std::byte* qh, int8_t* codes) {
  uint32_t bits;
  std::memcpy(&bits, qh, 4);
  for (int j = 0; j < 32; ++j) codes[j] = static_cast<int8_t>(codes[j] + (bits >> j & 1) * 16);
}

void unpack_q4_0(const std::byte* b, UnpackedBlock& out) {
  out.scale[0] = half_at(b);
  unpack_nibbles(bytes_of(b + 2), 8, out.codes);
}

void unpack_q4_1(const std::byte* b, UnpackedBlock& out) {
  out.scale[0] = half_at(b);
  out.minimum[0] = -half_at(b + 2);
  unpack_nibbles(bytes_of(b + 4), 0, out.codes);
}

void unpack_q5_0(const std::byte* b, UnpackedBlock& out) {
  out.scale[0] = half_at(b);
  unpack_nibbles(bytes_of(b + 6), 16, out.codes);
  add_fifth_bits(b + 2, out.codes);
}

void unpack_q5_1(const std::byte* b, UnpackedBlock& out) {
  out.scale[0] = half_at(b);
  out.minimum[0] = -half_at(b + 2);
  unpack_nibbles(bytes_of(b + 8), 0, out.codes);
  add_fifth_bits(b + 4, out.codes);
}

void unpack_q8_0(const std::byte* b, UnpackedBlock& out) {
  out.scale[0] = half_at(b);
  std::memcpy(out.codes, b + 2, 32);
}

// Two bits of element i of a K block: four planes of 32 in each half.
int two_bits(const uint8_t* qs, int i) { return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

void unpack_q2_k(const std::byte* b, UnpackedBlock& out) {
  const uint8_t* sc = bytes_of(b);
  const float d = half_at(b + 80), dmin = half_at(b + 82);
  for (int g = 0; g < 16; ++g) {
    out.scale[g] = d * static_cast<float>(sc[g] & 15);
    out.minimum[g] = dmin * static_cast<float>(sc[g] >> 4);
  }
  for (int i = 0; i < 256; ++i) out.codes[i] = static_cast<int8_t>(two_bits(bytes_of(b + 16), i));
}

void unpack_q3_k(const std::byte* b, UnpackedBlock& out) {
  const uint8_t *hm = bytes_of(b), *s = bytes_of(b + 96);
  const float d = half_at(b + 108);
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
    out.scale[g] = d * static_cast<float>((low | (s[8 + g % 4] >> (2 * (g / 4)) & 3) << 4) - 32);
  }
  for (int i = 0; i < 256; ++i) {
    const int missing = hm[i % 32] >> (i / 32) & 1 ? 0 : 4;  // the high bit is stored inverted
    out.codes[i] = static_cast<int8_t>(two_bits(bytes_of(b + 32), i) - missing);
  }
}

// Scales and minimums of Q4_K and Q5_K: six bits each in 12 bytes.
void unpack_k_scales(const std::byte* b, UnpackedBlock& out) {
  const float d = half_at(b), dmin = half_at(b + 2);
  const uint8_t* s = bytes_of(b + 4);
  for (int j = 0; j < 8; ++j) {
    const int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    const int mn = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    out.scale[j] = d * static_cast<float>(sc);
    out.minimum[j] = dmin * static_cast<float>(mn);
  }
}

int k_nibble(const uint8_t* qs, int i) { return qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15; }

void unpack_q4_k(const std::byte* b, UnpackedBlock& out) {
  unpack_k_scales(b, out);
  for (int i = 0; i < 256; ++i) out.codes[i] = static_cast<int8_t>(k_nibble(bytes_of(b + 16), i));
}

void unpack_q5_k(const std::byte* b, UnpackedBlock& out) {
  unpack_k_scales(b, out);
  const uint8_t* qh = bytes_of(b + 16);
  for (int i = 0; i < 256; ++i) {
    out.codes[i] = static_cast<int8_t>(k_nibble(bytes_of(b + 48), i) | (qh[i % 32] >> (i / 32) & 1) << 4);
  }
}

void unpack_q6_k(const std::byte* b, UnpackedBlock& out) {
  const uint8_t *ql = bytes_of(b), *qh = bytes_of(b + 128);
  const float d = half_at(b + 208);
  for (int g = 0; g < 16; ++g) out.scale[g] = d * static_cast<float>(static_cast<int8_t>(b[192 + g]));
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, part = i % 128 / 32, l = i % 32;
    const int low = ql[64 * n + 32 * (part & 1) + l] >> (part / 2 * 4) & 15;
    out.codes[i] = static_cast<int8_t>((low | (qh[32 * n + l] >> (2 * part) & 3) << 4) - 32);
  }
}

constexpr int8_t kIq4Codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Twice the values of E2M1; scales are halved accordingly.
constexpr int8_t kFp4Codes[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void look_up_nibbles(const uint8_t* qs, const int8_t* table, int8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = table[qs[j] & 15];
    codes[j + 16] = table[qs[j] >> 4];
  }
}

void unpack_iq4_nl(const std::byte* b, UnpackedBlock& out) {
  out.scale[0] = half_at(b);
  look_up_nibbles(bytes_of(b + 2), kIq4Codes, out.codes);
}

void unpack_iq4_xs(const std::byte* b, UnpackedBlock& out) {
  const float d = half_at(b);
  uint16_t high;
  std::memcpy(&high, b + 2, 2);
  const uint8_t* low = bytes_of(b + 4);
  for (int g = 0; g < 8; ++g) {
    const int ls = (low[g / 2] >> (g % 2 * 4) & 15) | (high >> (2 * g) & 3) << 4;
    out.scale[g] = d * static_cast<float>(ls - 32);
    look_up_nibbles(bytes_of(b + 8 + 16 * g), kIq4Codes, out.codes + 32 * g);
  }
}

void unpack_mxfp4(const std::byte* b, UnpackedBlock& out) {
  const uint32_t e = bytes_of(b)[0];  // 2^(e - 128), subnormal for e < 2
  out.scale[0] = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  look_up_nibbles(bytes_of(b + 1), kFp4Codes, out.codes);
}

// Trit n of a byte that holds five as a fraction of 256.
int8_t trit(uint8_t byte, int n) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  const auto shifted = static_cast<uint8_t>(byte * kPowers[n]);
  return static_cast<int8_t>((shifted * 3 >> 8) - 1);
}

void unpack_tq1_0(const std::byte* b, UnpackedBlock& out) {
  const uint8_t* qs = bytes_of(b);
  int8_t* code = out.codes;
  for (int n = 0; n < 5; ++n) {
    for (int j = 0; j < 32; ++j) *code++ = trit(qs[j], n);
  }
  for (int n = 0; n < 5; ++n) {
    for (int j = 32; j < 48; ++j) *code++ = trit(qs[j], n);
  }
  for (int n = 0; n < 4; ++n) {
    for (int j = 48; j < 52; ++j) *code++ = trit(qs[j], n);
  }
  for (int g = 0; g < 8; ++g) out.scale[g] = half_at(b + 52);
}

void unpack_tq2_0(const std::byte* b, UnpackedBlock& out) {
  for (int i = 0; i < 256; ++i) out.codes[i] = static_cast<int8_t>(two_bits(bytes_of(b), i) - 1);
  for (int g = 0; g < 8; ++g) out.scale[g] = half_at(b + 64);
}

}  // namespace

const BlockFormat& block_format(DType type) {
  static constexpr BlockFormat kNone{0, 0, 32, false, nullptr};
  static constexpr BlockFormat kQ4_0{32, 18, 32, false, unpack_q4_0};
  static constexpr BlockFormat kQ4_1{32, 20, 32, true, unpack_q4_1};
  static constexpr BlockFormat kQ5_0{32, 22, 32, false, unpack_q5_0};
  static constexpr BlockFormat kQ5_1{32, 24, 32, true, unpack_q5_1};
  static constexpr BlockFormat kQ8_0{32, 34, 32, false, unpack_q8_0};
  static constexpr BlockFormat kQ2_K{256, 84, 16, true, unpack_q2_k};
  static constexpr BlockFormat kQ3_K{256, 110, 16, false, unpack_q3_k};
  static constexpr BlockFormat kQ4_K{256, 144, 32, true, unpack_q4_k};
  static constexpr BlockFormat kQ5_K{256, 176, 32, true, unpack_q5_k};
  static constexpr BlockFormat kQ6_K{256, 210, 16, false, unpack_q6_k};
  static constexpr BlockFormat kIQ4_NL{32, 18, 32, false, unpack_iq4_nl};
  static constexpr BlockFormat kIQ4_XS{256, 136, 32, false, unpack_iq4_xs};
  static constexpr BlockFormat kMXFP4{32, 17, 32, false, unpack_mxfp4};
  static constexpr BlockFormat kTQ1_0{256, 54, 32, false, unpack_tq1_0};
  static constexpr BlockFormat kTQ2_0{256, 66, 32, false, unpack_tq2_0};
  switch (type) {
    case DType::kQ4_0:
    case DType::kQ4_0x16:
      return kQ4_0;
    case DType::kQ4_1:
    case DType::kQ4_1x16:
      return kQ4_1;
    case DType::kQ5_0:
    case DType::kQ5_0x16:
      return kQ5_0;
    case DType::kQ5_1:
      return kQ5_1;
    case DType::kQ8_0:
    case DType::kQ8_0x16:
      return kQ8_0;
    case DType::kQ2_K:
      return kQ2_K;
    case DType::kQ3_K:
      return kQ3_K;
    case DType::kQ4_K:
    case DType::kQ4_Kx16:
      return kQ4_K;
    case DType::kQ5_K:
      return kQ5_K;
    case DType::kQ6_K:
    case DType::kQ6_Kx16:
      return kQ6_K;
    case DType::kIQ4_NL:
      return kIQ4_NL;
    case DType::kIQ4_XS:
      return kIQ4_XS;
    case DType::kMXFP4:
    case DType::kMXFP4x16:
      return kMXFP4;
    case DType::kTQ1_0:
      return kTQ1_0;
    case DType::kTQ2_0:
      return kTQ2_0;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      break;
  }
  return kNone;
}

void unpack_output_block(DType type, const std::byte* matrix, int64_t k, int64_t o, int64_t b, UnpackedBlock& out) {
  const BlockFormat& format = block_format(type);
  const int64_t row_bytes = k / format.block * format.bytes;
  if (!is_packed(type)) return format.unpack(matrix + o * row_bytes + b * format.bytes, out);
  std::byte block[256];
  const std::byte* panel = matrix + o / kPanelOutputs * kPanelOutputs * row_bytes;
  unpack_block(type, panel, k, b, o % kPanelOutputs, block);
  format.unpack(block, out);
}

}  // namespace godwit::scalar
