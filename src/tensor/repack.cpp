#include "tensor/repack.h"

#include <array>
#include <cstring>
#include <span>

#include "base/error.h"

namespace godwit {

namespace {

constexpr int16_t kTail = -1;  // a run that lies behind the codes of a few blocks

// `count` elements of `size` bytes at `from` in a block; element i of a lane lies at to + i * stride + lane * size.
struct Run {
  int16_t from, count, size, to, stride;
};

constexpr Run kRunsQ4_0[] = {{2, 4, 4, 0, 64}, {0, 1, 2, kTail, 0}};
constexpr Run kRunsQ4_1[] = {{4, 4, 4, 0, 64}, {0, 1, 2, 256, 0}, {2, 1, 2, 288, 0}};
constexpr Run kRunsQ5_0[] = {{6, 4, 4, 0, 64}, {2, 1, 4, 256, 0}, {0, 1, 2, kTail, 0}};
constexpr Run kRunsQ8_0[] = {{2, 8, 4, 0, 64}, {0, 1, 2, kTail, 0}};
constexpr Run kRunsQ4_K[] = {{16, 32, 4, 0, 64}, {4, 3, 4, 2048, 64}, {0, 1, 2, 2240, 0}, {2, 1, 2, 2272, 0}};
constexpr Run kRunsQ6_K[] = {{0, 8, 4, 0, 192},      {32, 8, 4, 64, 192},   {128, 8, 4, 128, 192},
                             {64, 8, 4, 1536, 192},  {96, 8, 4, 1600, 192}, {160, 8, 4, 1664, 192},
                             {192, 16, 1, 3072, 16}, {208, 1, 2, kTail, 0}};
constexpr Run kRunsMXFP4[] = {{1, 4, 4, 0, 64}, {0, 1, 1, kTail, 0}};

struct Layout {
  int64_t block;        // elements
  int64_t block_bytes;  // of one output
  int64_t tail_bytes;   // of these, behind the codes
  int64_t together;     // blocks whose tails stand behind the codes of all of them
  std::span<const Run> runs;
};

constexpr int64_t kMaxBlockBytes = 210;

Layout layout_of(DType packed) {
  switch (packed) {
    case DType::kQ4_0x16:
      return {32, 18, 2, 2, kRunsQ4_0};
    case DType::kQ4_1x16:
      return {32, 20, 0, 1, kRunsQ4_1};
    case DType::kQ5_0x16:
      return {32, 22, 2, 2, kRunsQ5_0};
    case DType::kQ8_0x16:
      return {32, 34, 2, 2, kRunsQ8_0};
    case DType::kQ4_Kx16:
      return {256, 144, 0, 1, kRunsQ4_K};
    case DType::kQ6_Kx16:
      return {256, 210, 2, 2, kRunsQ6_K};
    case DType::kMXFP4x16:
      return {32, 17, 1, 4, kRunsMXFP4};
    default:
      break;
  }
  bug(__FILE__, __LINE__, "packed type", "no panel layout");
}

struct Place {
  int64_t codes, tail;  // offsets in the panel
};

Place place_of(const Layout& layout, int64_t block, int64_t n_blocks) {
  const int64_t code_bytes = (layout.block_bytes - layout.tail_bytes) * kPanelOutputs;
  const int64_t at = block % layout.together, first = block - at;
  const int64_t start = first * layout.block_bytes * kPanelOutputs;
  const int64_t together = n_blocks - first < layout.together ? n_blocks - first : layout.together;
  return {start + at * code_bytes, start + together * code_bytes + at * layout.tail_bytes * kPanelOutputs};
}

// The 16 six-bit fields of Q4_K: scales 0..7, then minimums 0..7.
using Fields = std::array<uint8_t, 16>;

Fields fields_of_file(const uint8_t* s) {
  Fields f;
  for (int j = 0; j < 4; ++j) {
    f[j] = s[j] & 63;
    f[8 + j] = s[j + 4] & 63;
    f[4 + j] = (s[j + 8] & 15) | (s[j] >> 6) << 4;
    f[12 + j] = (s[j + 8] >> 4) | (s[j + 4] >> 6) << 4;
  }
  return f;
}

void fields_to_file(const Fields& f, uint8_t* s) {
  for (int j = 0; j < 4; ++j) {
    s[j] = f[j] | (f[4 + j] >> 4) << 6;
    s[j + 4] = f[8 + j] | (f[12 + j] >> 4) << 6;
    s[j + 8] = (f[4 + j] & 15) | (f[12 + j] & 15) << 4;
  }
}

// Turns the block's bits from the file's order to the panel's. Q8_0: signed to unsigned. Q5_0: fifth bits by step.
void to_panel_bits(DType packed, uint8_t* block) {
  if (packed == DType::kQ8_0x16) {
    for (int i = 2; i < 34; ++i) block[i] ^= 0x80;
  } else if (packed == DType::kQ5_0x16) {
    uint32_t from, to = 0;
    std::memcpy(&from, block + 2, 4);
    for (int k = 0; k < 32; ++k) to |= (from >> k & 1) << (8 * (k % 4) + k / 4);
    std::memcpy(block + 2, &to, 4);
  } else if (packed == DType::kQ4_Kx16) {
    const Fields f = fields_of_file(block + 4);
    uint32_t words[3] = {};
    for (int i = 0; i < 15; ++i) words[i / 5] |= uint32_t{f[i]} << (6 * (i % 5));
    for (int i = 0; i < 3; ++i) words[i] |= uint32_t{f[15]} >> (2 * i) << 30;
    std::memcpy(block + 4, words, 12);
  }
}

// The inverse of to_panel_bits.
void to_file_bits(DType packed, uint8_t* block) {
  if (packed == DType::kQ8_0x16) {
    for (int i = 2; i < 34; ++i) block[i] ^= 0x80;
  } else if (packed == DType::kQ5_0x16) {
    uint32_t from, to = 0;
    std::memcpy(&from, block + 2, 4);
    for (int k = 0; k < 32; ++k) to |= (from >> (8 * (k % 4) + k / 4) & 1) << k;
    std::memcpy(block + 2, &to, 4);
  } else if (packed == DType::kQ4_Kx16) {
    uint32_t words[3];
    std::memcpy(words, block + 4, 12);
    Fields f;
    for (int i = 0; i < 15; ++i) f[i] = words[i / 5] >> (6 * (i % 5)) & 63;
    f[15] = words[0] >> 30 | words[1] >> 30 << 2 | words[2] >> 30 << 4;
    fields_to_file(f, block + 4);
  }
}

// Calls move(offset in the panel, offset in the block, bytes) for every element of one lane's block.
template <class Move>
void for_each_element(const Layout& layout, const Place& place, int64_t lane, const Move& move) {
  for (const Run& run : layout.runs) {
    const int64_t base = (run.to == kTail ? place.tail : place.codes + run.to) + lane * run.size;
    if (run.size == 4) {
      for (int64_t i = 0; i < run.count; ++i)
        move(base + i * run.stride, run.from + 4 * i, std::integral_constant<int, 4>{});
    } else if (run.size == 2) {
      move(base, run.from, std::integral_constant<int, 2>{});
    } else {
      for (int64_t i = 0; i < run.count; ++i)
        move(base + i * run.stride, run.from + i, std::integral_constant<int, 1>{});
    }
  }
}

}  // namespace

std::optional<DType> packed_type(DType file_type) {
  switch (file_type) {
    case DType::kQ4_0:
      return DType::kQ4_0x16;
    case DType::kQ4_1:
      return DType::kQ4_1x16;
    case DType::kQ5_0:
      return DType::kQ5_0x16;
    case DType::kQ8_0:
      return DType::kQ8_0x16;
    case DType::kQ4_K:
      return DType::kQ4_Kx16;
    case DType::kQ6_K:
      return DType::kQ6_Kx16;
    case DType::kMXFP4:
      return DType::kMXFP4x16;
    default:
      return std::nullopt;
  }
}

int64_t panel_bytes(DType packed, int64_t k) {
  const Layout layout = layout_of(packed);
  CHECK(k % layout.block == 0, "panel of {} columns, blocks of {}", k, layout.block);
  return k / layout.block * layout.block_bytes * kPanelOutputs;
}

void repack_panel(DType packed, const std::byte* rows, int64_t n_rows, int64_t k, std::byte* panel) {
  const Layout layout = layout_of(packed);
  CHECK(n_rows >= 0 && n_rows <= kPanelOutputs && k % layout.block == 0, "panel of {} x {}", n_rows, k);
  const int64_t n_blocks = k / layout.block;
  const int64_t row_bytes = n_blocks * layout.block_bytes;
  if (n_rows < kPanelOutputs) std::memset(panel, 0, row_bytes * kPanelOutputs);
  uint8_t block[kMaxBlockBytes];
  for (int64_t b = 0; b < n_blocks; ++b) {
    const Place place = place_of(layout, b, n_blocks);
    for (int64_t lane = 0; lane < n_rows; ++lane) {
      std::memcpy(block, rows + lane * row_bytes + b * layout.block_bytes, layout.block_bytes);
      to_panel_bits(packed, block);
      for_each_element(layout, place, lane,
                       [&](int64_t to, int64_t from, auto size) { std::memcpy(panel + to, block + from, size); });
    }
  }
}

void unpack_block(DType packed, const std::byte* panel, int64_t k, int64_t block, int64_t lane, std::byte* file_block) {
  const Layout layout = layout_of(packed);
  const Place place = place_of(layout, block, k / layout.block);
  uint8_t bytes[kMaxBlockBytes];
  for_each_element(layout, place, lane,
                   [&](int64_t from, int64_t to, auto size) { std::memcpy(bytes + to, panel + from, size); });
  to_file_bits(packed, bytes);
  std::memcpy(file_block, bytes, layout.block_bytes);
}

void unpack_row(DType packed, const std::byte* matrix, int64_t row, int64_t k, std::byte* file_row) {
  const Layout layout = layout_of(packed);
  const std::byte* panel = matrix + row / kPanelOutputs * panel_bytes(packed, k);
  for (int64_t b = 0; b < k / layout.block; ++b) {
    unpack_block(packed, panel, k, b, row % kPanelOutputs, file_row + b * layout.block_bytes);
  }
}

}  // namespace godwit
