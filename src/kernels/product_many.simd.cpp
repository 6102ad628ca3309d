// Products of many rows: blocks of k of a few panels are unpacked into L1 once and meet all rows, in tiles whose sums
// stay in registers. Between blocks of k the sums lie in memory; their order does not change. What a block of k needs
// of the rows besides codes is made once for a group of tiles.
#include "kernels/panels.h"
#include "kernels/quantized.h"

namespace godwit::GODWIT_LEVEL {

namespace {

constexpr int64_t kBlockK = 512, kBlockRows = 128;
constexpr int64_t kBlockGroups = kBlockK / kGroup, kBlockSubs = kBlockK / 16;
constexpr int64_t kDecodedK = 128;  // elements of k that are decoded to floats at once
constexpr int kTileRows = 4;
#if defined(GODWIT_LEVEL_avx512)
constexpr int kTilePanels = 3, kGroupTiles = 2;
constexpr bool kOneDot = true;  // codes of any width take the same instruction
constexpr bool kPrefetch = false;
#else
constexpr int kTilePanels = 1, kGroupTiles = 6;
constexpr bool kOneDot = false;
constexpr bool kPrefetch = true;  // three rows of some formats come here too
#endif
template <int kBits>
constexpr int kTileBits = kOneDot ? 8 : kBits;

// A block of k of one panel.
struct Unpacked {
  alignas(64) uint8_t codes[kBlockK * kPanel];   // [k / 4][16] dwords
  alignas(64) float scale[kBlockSubs * kPanel];  // [group][16]
  alignas(64) float minimum[kBlockSubs * kPanel];
};

// How a type is unpacked; codes are unsigned, `offset` above their value.
struct Source {
  int sub = 0;  // elements that share a scale: 16 or 32
  int bits = 0;
  bool minimum = false;
  int32_t offset = 0;
  void (*unpack)(const ProductMatrix& matrix, int64_t k, int64_t o, int64_t first_k, int64_t end_k,
                 Unpacked& out) = nullptr;
};

template <class F>
void unpack_panel(const ProductMatrix& matrix, int64_t k, int64_t o, int64_t first_k, int64_t end_k, Unpacked& out) {
  constexpr int kScales = F::kBlock / F::kSub, kStretches = F::kBlock / kGroup / F::kGroups;
  const int64_t n_blocks = k / F::kBlock;
  const std::byte* panel = matrix.w + o / kPanel * panel_bytes<F>(n_blocks);
  for (int64_t at = first_k; at < end_k; at += F::kBlock) {
    const BlockPlace place = block_place<F>(panel, at / F::kBlock, n_blocks);
    for (int64_t i = 0; kPrefetch && i < F::kBytes + F::kTail; i += 64)
      __builtin_prefetch(place.codes + 4096 + i, 0, 3);
    Vec scale[kScales], minimum[kScales];
    F::scales(place, scale, minimum);
    for (int s = 0; s < kScales; ++s) {
      store(out.scale + ((at - first_k) / F::kSub + s) * kPanel, scale[s]);
      if (F::kMinimum) store(out.minimum + ((at - first_k) / F::kSub + s) * kPanel, minimum[s]);
    }
    uint8_t* codes = out.codes + (at - first_k) * kPanel;
    for (int s = 0; s < kStretches; ++s) {
#pragma GCC unroll 8
      for (int i = 0; i < F::kIterations; ++i) {
        Bits unpacked[F::kOut];
        F::codes(place.codes + s * F::kStretchBytes, i, unpacked);
#pragma GCC unroll 4
        for (int v = 0; v < F::kOut; ++v) {
          store_bits(codes + ((s * F::kGroups + F::group(v)) * 8 + F::step(i, v)) * kStepBytes, unpacked[v]);
        }
      }
    }
  }
}

// Row-major types, by the scalar unpacker of their format.
void unpack_rows(const ProductMatrix& matrix, int64_t k, int64_t o, int64_t first_k, int64_t end_k, Unpacked& out) {
  const scalar::BlockFormat& format = scalar::block_format(matrix.type);
  scalar::UnpackedBlock block;
  for (int64_t lane = 0; lane < kPanel; ++lane) {
    const int64_t real = o + lane < matrix.n ? o + lane : matrix.n - 1;  // lanes past the end are never written
    for (int64_t at = first_k; at < end_k; at += format.block) {
      scalar::unpack_output_block(matrix.type, matrix.w, k, real, at / format.block, block);
      for (int64_t i = 0; i < format.block; ++i) {
        const int64_t e = at - first_k + i;
        out.codes[(e / 4 * kPanel + lane) * 4 + e % 4] = static_cast<uint8_t>(block.codes[i] + 128);
      }
      for (int64_t g = 0; g < format.block / format.group; ++g) {
        const int64_t to = ((at - first_k) / format.group + g) * kPanel + lane;
        out.scale[to] = block.scale[g];
        if (format.has_minimum) out.minimum[to] = block.minimum[g];
      }
    }
  }
}

template <class F>
Source panel_source() {
  return {F::kSub, F::kBits, F::kMinimum, F::kOffset, unpack_panel<F>};
}

Source source_of(DType type) {
  switch (type) {
    case DType::kQ4_0x16:
      return panel_source<PanelsQ4_0>();
    case DType::kQ4_1x16:
      return panel_source<PanelsQ4_1>();
    case DType::kQ5_0x16:
      return panel_source<PanelsQ5_0>();
    case DType::kQ8_0x16:
      return panel_source<PanelsQ8_0>();
    case DType::kQ4_Kx16:
      return panel_source<PanelsQ4_K>();
    case DType::kQ6_Kx16:
      return panel_source<PanelsQ6_K>();
    case DType::kMXFP4x16:
      return panel_source<PanelsMXFP4>();
    default:
      break;
  }
  const scalar::BlockFormat& format = scalar::block_format(type);
  return {format.group, 8, format.has_minimum, 128, unpack_rows};
}

// A block of rows and what a block of k of theirs adds besides codes; sub-groups are of Source::sub elements.
struct Rows {
  int32_t offsets[kBlockRows][kBlockSubs];    // [row][sub-group]: minus the code offset times the sum of codes
  float scaled_sums[kBlockRows][kBlockSubs];  // [row][sub-group]: scale times the sum of codes
  float scales[kBlockRows][kBlockGroups];
};

// The sums of a tile's panels with a block of rows, and the minimums' sums.
struct Sums {
  alignas(64) float sums[kBlockRows][kTilePanels][kPanel];
  alignas(64) float minimum_sums[kBlockRows][kTilePanels][kPanel];
};

// What a task works with.
struct Work {
  Unpacked panels[kTilePanels];
  Rows rows;
  Sums tiles[kGroupTiles];
};

void fill_rows(const Source& source, const Activations& x, int64_t row, int64_t n_rows, int64_t first_k, int64_t end_k,
               Rows& out) {
  const int32_t offset = kSignedBytes && source.bits == 8 ? 0 : source.offset;
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* scales = x.scales + ((row + r) * x.k + first_k) / kGroup;
    const int16_t* sums = x.sums + ((row + r) * x.k + first_k) / 16;
    for (int64_t g = 0; g < (end_k - first_k) / kGroup; ++g) {
      out.scales[r][g] = scales[g];
      const int32_t low = sums[2 * g], high = sums[2 * g + 1];
      if (source.sub == 16) {
        out.offsets[r][2 * g] = -offset * low;
        out.offsets[r][2 * g + 1] = -offset * high;
        out.scaled_sums[r][2 * g] = scales[g] * static_cast<float>(low);
        out.scaled_sums[r][2 * g + 1] = scales[g] * static_cast<float>(high);
      } else {
        out.offsets[r][g] = -offset * (low + high);
        out.scaled_sums[r][g] = scales[g] * static_cast<float>(low + high);
      }
    }
  }
}

// Rows r.. of the block and kPanels panels: `codes` are their activations from the block's first element on.
template <int kSub, int kBits, bool kOffset, int kRows, int kPanels>
[[gnu::noinline]] void add_tile(const Work& work, Sums& out, const int8_t* codes, int64_t k, int64_t r0,
                                int64_t n_subs) {
  constexpr int kSteps = kSub / 4;
  Vec sum[kRows][kPanels];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) sum[r][p] = load(out.sums[r0 + r][p]);
  }
  for (int64_t g = 0; g < n_subs; ++g) {
    Dots dots[kRows][kPanels];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int p = 0; p < kPanels; ++p) {
        dots[r][p].sum = splat_int(kOffset ? work.rows.offsets[r0 + r][g] : 0);
      }
    }
#pragma GCC unroll 8
    for (int step = 0; step < kSteps; ++step) {
      Bits weights[kPanels];
#pragma GCC unroll 3
      for (int p = 0; p < kPanels; ++p) weights[p] = load_bits(work.panels[p].codes + (g * kSteps + step) * kStepBytes);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Bits activations = splat_int(load_int(codes + r * k + g * kSub + step * 4));
#pragma GCC unroll 3
        for (int p = 0; p < kPanels; ++p) add_step<kBits>(dots[r][p], step, weights[p], activations);
      }
    }
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) {
      const Vec scale = load(work.panels[p].scale + g * kPanel);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Vec both = scale * set1(work.rows.scales[r0 + r][g * kSub / kGroup]);
        sum[r][p] = fma(both, int_to_float(dots[r][p].sum), sum[r][p]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) store(out.sums[r0 + r][p], sum[r][p]);
  }
}

// The minimums' chains of the same tile.
template <int kRows, int kPanels>
void add_minimums(const Work& work, Sums& out, int64_t r0, int64_t n_subs) {
  Vec sum[kRows][kPanels];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) sum[r][p] = load(out.minimum_sums[r0 + r][p]);
  }
  for (int64_t g = 0; g < n_subs; ++g) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) {
      const Vec minimum = load(work.panels[p].minimum + g * kPanel);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        sum[r][p] = fma(minimum, set1(work.rows.scaled_sums[r0 + r][g]), sum[r][p]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) store(out.minimum_sums[r0 + r][p], sum[r][p]);
  }
}

template <int kRows, int kPanels>
void add_tile(const Source& source, const Work& work, Sums& out, const int8_t* codes, int64_t k, int64_t r0,
              int64_t block_k) {
  const int64_t n_subs = block_k / source.sub;
  const bool offset = source.offset != 0;
  const auto add = source.bits == 4   ? (offset ? add_tile<32, kTileBits<4>, true, kRows, kPanels>
                                                : add_tile<32, kTileBits<4>, kOneDot, kRows, kPanels>)
                   : source.bits == 5 ? add_tile<32, kTileBits<5>, true, kRows, kPanels>
                   : source.bits == 6 ? add_tile<16, kTileBits<6>, true, kRows, kPanels>
                   : source.sub == 16 ? add_tile<16, 8, !kSignedBytes, kRows, kPanels>
                                      : add_tile<32, 8, !kSignedBytes, kRows, kPanels>;
  add(work, out, codes, k, r0, n_subs);
  if (source.minimum) add_minimums<kRows, kPanels>(work, out, r0, n_subs);
}

// One block of k of kPanels panels meets a block of rows.
template <int kPanels>
void add_block(const Source& source, const Activations& x, int64_t row, int64_t n_rows, int64_t first_k, int64_t end_k,
               const Work& work, Sums& out) {
  const int64_t block_k = end_k - first_k;
  for (int64_t r = 0; r < n_rows; r += kTileRows) {
    const int8_t* codes = x.codes + (row + r) * x.k + first_k;
    switch (n_rows - r) {
      case 1:
        add_tile<1, kPanels>(source, work, out, codes, x.k, r, block_k);
        break;
      case 2:
        add_tile<2, kPanels>(source, work, out, codes, x.k, r, block_k);
        break;
      case 3:
        add_tile<3, kPanels>(source, work, out, codes, x.k, r, block_k);
        break;
      default:
        add_tile<4, kPanels>(source, work, out, codes, x.k, r, block_k);
    }
  }
}

// The decoded elements [first, first + count) of a block of k: [k][16] floats.
void decode(const Source& source, const Unpacked& panel, int64_t first, int64_t count, float* out) {
  const Bits byte = splat_int(255), offset = splat_int(source.offset);
  for (int64_t k = first; k < first + count; k += 4) {
    const Bits codes = load_bits(panel.codes + k * kPanel);
    const Vec scale = load(panel.scale + k / source.sub * kPanel);
    const Bits each[4] = {codes & byte, shift_right<8>(codes) & byte, shift_right<16>(codes) & byte,
                          shift_right<24>(codes)};
    for (int i = 0; i < 4; ++i) {
      const Vec code = int_to_float(each[i] - offset);
      const Vec value =
          source.minimum ? fma(code, scale, -load(panel.minimum + k / source.sub * kPanel)) : code * scale;
      store(out + (k - first + i) * kPanel, value);
    }
  }
}

template <int kRows, int kPanels>
void add_exact_tile(Sums& out, const float (&weights)[kTilePanels][kDecodedK * kPanel], const float* x, int64_t k,
                    int64_t r0, int64_t count) {
  Vec sum[kRows][kPanels];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) sum[r][p] = load(out.sums[r0 + r][p]);
  }
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) {
      const Vec weight = load(weights[p] + i * kPanel);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][p] = fma(weight, set1(x[r * k + i]), sum[r][p]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int p = 0; p < kPanels; ++p) store(out.sums[r0 + r][p], sum[r][p]);
  }
}

template <int kPanels>
void add_exact_block(const Source& source, const Activations& x, int64_t row, int64_t n_rows, int64_t first_k,
                     int64_t end_k, const Work& work, Sums& out) {
  alignas(64) float weights[kTilePanels][kDecodedK * kPanel];
  for (int64_t at = first_k; at < end_k; at += kDecodedK) {
    const int64_t count = end_k - at < kDecodedK ? end_k - at : kDecodedK;
    for (int p = 0; p < kPanels; ++p) decode(source, work.panels[p], at - first_k, count, weights[p]);
    for (int64_t r = 0; r < n_rows; r += kTileRows) {
      const float* values = x.f32 + (row + r) * x.k + at;
      switch (n_rows - r) {
        case 1:
          add_exact_tile<1, kPanels>(out, weights, values, x.k, r, count);
          break;
        case 2:
          add_exact_tile<2, kPanels>(out, weights, values, x.k, r, count);
          break;
        case 3:
          add_exact_tile<3, kPanels>(out, weights, values, x.k, r, count);
          break;
        default:
          add_exact_tile<4, kPanels>(out, weights, values, x.k, r, count);
      }
    }
  }
}

// Tiles of kPanels panels, from output o on, meet all rows.
template <bool kExact, int kPanels>
void multiply_tiles(const Source& source, const ProductMatrix& matrix, const Activations& x, int64_t o,
                    int64_t n_tiles) {
  Work work;
  for (int64_t row = 0; row < x.rows; row += kBlockRows) {
    const int64_t n_rows = x.rows - row < kBlockRows ? x.rows - row : kBlockRows;
    for (int64_t t = 0; t < n_tiles; ++t) {
      std::memset(work.tiles[t].sums, 0, n_rows * sizeof work.tiles[t].sums[0]);
      if (source.minimum) std::memset(work.tiles[t].minimum_sums, 0, n_rows * sizeof work.tiles[t].minimum_sums[0]);
    }
    for (int64_t first_k = 0; first_k < x.k; first_k += kBlockK) {
      const int64_t end_k = x.k - first_k < kBlockK ? x.k : first_k + kBlockK;
      if constexpr (!kExact) fill_rows(source, x, row, n_rows, first_k, end_k, work.rows);
      for (int64_t t = 0; t < n_tiles; ++t) {
        for (int p = 0; p < kPanels; ++p) {
          source.unpack(matrix, x.k, o + (t * kPanels + p) * kPanel, first_k, end_k, work.panels[p]);
        }
        if constexpr (kExact) {
          add_exact_block<kPanels>(source, x, row, n_rows, first_k, end_k, work, work.tiles[t]);
        } else {
          add_block<kPanels>(source, x, row, n_rows, first_k, end_k, work, work.tiles[t]);
        }
      }
    }
    for (int64_t t = 0; t < n_tiles; ++t) {
      for (int64_t r = 0; r < n_rows; ++r) {
        for (int p = 0; p < kPanels; ++p) {
          const Vec sum = load(work.tiles[t].sums[r][p]);
          const int64_t first = o + (t * kPanels + p) * kPanel;
          if (!kExact && source.minimum) {
            finish_row<true>(matrix, row + r, first, sum, load(work.tiles[t].minimum_sums[r][p]));
          } else {
            finish_row<false>(matrix, row + r, first, sum, zero());
          }
        }
      }
    }
  }
}

// Whole tiles in groups, then single panels.
template <bool kExact>
void multiply(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  const Source source = source_of(matrix.type);
  const int64_t panels = (count + kPanel - 1) / kPanel;
  int64_t done = 0;
  while (panels - done >= kTilePanels) {
    int64_t n = (panels - done) / kTilePanels;
    if (n > kGroupTiles) n = kGroupTiles;
    multiply_tiles<kExact, kTilePanels>(source, matrix, x, first + done * kPanel, n);
    done += n * kTilePanels;
  }
  for (; done < panels; ++done) multiply_tiles<kExact, 1>(source, matrix, x, first + done * kPanel, 1);
}

}  // namespace

void many_rows_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  multiply<false>(matrix, x, first, count);
}

void exact_rows_tile(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count) {
  multiply<true>(matrix, x, first, count);
}

}  // namespace godwit::GODWIT_LEVEL
