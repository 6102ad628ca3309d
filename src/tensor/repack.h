// Panels: how quantized matrices lie for products. 16 outputs stand side by side, so that one vector register holds the
// same four elements of k of 16 outputs and every group's sum stays in its lane. Only bytes and bits move: a panel has
// exactly the bytes of its 16 rows in the file type, and the way back gives the file's bits.
//
// A panel is a row of blocks (k / block of them). Dwords below hold four consecutive codes of one output; [16] is the
// output (lane). Offsets are within the block.
//   Q4_0x16  256 + 32    codes as Q4_1x16
//   Q4_1x16  320 bytes   codes  [4][16] dwords: dword t has k = 4t.. in low nibbles, k = 16 + 4t.. in high nibbles
//                        d [16] f16 at 256, m [16] f16 at 288
//   Q5_0x16  320 + 32    codes as Q4_1x16, then [16] dwords at 256: bit s of byte i is the fifth bit of k = 4s + i
//   Q8_0x16  512 + 32    codes + 128 as unsigned bytes, [8][16] dwords: dword t has k = 4t..
//   Q4_Kx16  2304        codes [4][8][16] dwords: dword t of pair p has group 2p in low nibbles, 2p + 1 in high ones;
//                        [3][16] dwords at 2048: five 6-bit fields each, in order s0..s7 m0..m6; m7 is the top two bits
//                        of the three, low first; d [16] f16 at 2240, dmin [16] f16 at 2272
//   Q6_Kx16  3328 + 32   codes [2][8][3][16] dwords: half n, dword t: low bits of k = 128n + 4t (low nibbles) and + 64
//                        (high nibbles); of k = 128n + 32 + 4t and + 64; two high bits of all four, lowest k lowest;
//                        scales [16 groups][16] int8 at 3072
//   MXFP4x16 256 + 16    codes as Q4_1x16: they index the sixteen values
// Where a block is "+ 32", its f16 d [16] stand behind the codes of a pair of blocks: codes, codes, d, d. Where it is
// "+ 16", its exponents e [16] stand behind the codes of four blocks. Last blocks, too few to fill a pair or four, keep
// that order among themselves. So codes start at multiples of 64 bytes: in every panel if k / block is a multiple of
// the blocks that stand together, else in every other one at least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "tensor/dtype.h"

namespace godwit {

inline constexpr int64_t kPanelOutputs = 16;

/// The x16 type that holds matrices of this file type; nothing for types that stay row-major.
std::optional<DType> packed_type(DType file_type);

/// Bytes of one panel of `packed` with rows of k elements (k a multiple of the block).
int64_t panel_bytes(DType packed, int64_t k);

/// Makes one panel from n_rows <= 16 consecutive rows in the file type of `packed`; missing rows become zero scales and
/// zero codes. Panels are independent: call it in parallel.
void repack_panel(DType packed, const std::byte* rows, int64_t n_rows, int64_t k, std::byte* panel);

/// Writes one block of one output (lane) of a panel as the file type has it: the exact inverse of repack_panel.
void unpack_block(DType packed, const std::byte* panel, int64_t k, int64_t block, int64_t lane, std::byte* file_block);

/// Writes one row of a packed matrix as the file type has it (k / block blocks), to save or to decode it.
void unpack_row(DType packed, const std::byte* matrix, int64_t row, int64_t k, std::byte* file_row);

}  // namespace godwit
