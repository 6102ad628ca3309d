// Where the bytes of a panel lie, by the table in repack.h; tests/kernels/product_test.cpp has the way back.
#include "tensor/repack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "base/error.h"

namespace godwit {
namespace {

struct Layout {
  DType file_type;
  int64_t scale_bytes;  // in front of a block's 16 bytes of nibbles
  int64_t together;     // blocks whose scales stand behind the codes of all of them
};

constexpr Layout kNibbles[] = {{DType::kQ4_0, 2, 2}, {DType::kMXFP4, 1, 4}};

std::vector<std::byte> random_bytes(int64_t n) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(static_cast<size_t>(n));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

TEST(Repack, NibblesAndScalesLieWhereTheTableSays) {
  for (const Layout& layout : kNibbles) {
    const DType packed = packed_type(layout.file_type).value();
    const int64_t block_bytes = info(packed).block_bytes;
    ASSERT_EQ(block_bytes, layout.scale_bytes + 16);
    for (const int64_t n_blocks : {1, 2, 3, 4, 5, 6, 7, 8}) {
      const int64_t k = 32 * n_blocks, row_bytes = n_blocks * block_bytes;
      const std::vector<std::byte> rows = random_bytes(16 * row_bytes);
      std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(packed, k)));
      ASSERT_EQ(panel.size(), rows.size());
      repack_panel(packed, rows.data(), 16, k, panel.data());
      const std::byte* at = panel.data();
      for (int64_t first = 0; first < n_blocks; first += layout.together) {
        const int64_t end = std::min(n_blocks, first + layout.together);
        const auto take = [&](int64_t block, int64_t lane, int64_t from, int64_t bytes) {
          const std::byte* expected = rows.data() + lane * row_bytes + block * block_bytes + from;
          EXPECT_EQ(std::memcmp(at, expected, static_cast<size_t>(bytes)), 0)
              << name(packed) << ", " << n_blocks << " blocks: block " << block << " lane " << lane << " at "
              << at - panel.data();
          at += bytes;
        };
        for (int64_t b = first; b < end; ++b)
          for (int64_t dword = 0; dword < 4; ++dword)
            for (int64_t lane = 0; lane < 16; ++lane) take(b, lane, layout.scale_bytes + 4 * dword, 4);
        for (int64_t b = first; b < end; ++b)
          for (int64_t lane = 0; lane < 16; ++lane) take(b, lane, 0, layout.scale_bytes);
      }
    }
  }
}

TEST(Repack, MissingRowsAreZeroBytes) {
  for (const Layout& layout : kNibbles) {
    const DType packed = packed_type(layout.file_type).value();
    constexpr int64_t kK = 96, kRows = 5;
    const std::vector<std::byte> rows = random_bytes(matrix_bytes(layout.file_type, kRows, kK));
    std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(packed, kK)), std::byte{0xa5});
    repack_panel(packed, rows.data(), kRows, kK, panel.data());
    const auto row_bytes = static_cast<size_t>(matrix_bytes(layout.file_type, 1, kK));
    std::vector<std::byte> row(row_bytes);
    for (int64_t r = 0; r < 16; ++r) {
      unpack_row(packed, panel.data(), r, kK, row.data());
      const std::vector<std::byte> zero(row_bytes);
      EXPECT_EQ(std::memcmp(row.data(), r < kRows ? rows.data() + r * static_cast<int64_t>(row_bytes) : zero.data(),
                            row_bytes),
                0)
          << name(packed) << " row " << r;
    }
  }
}

TEST(Repack, PackedTypesAreMadeFromTheirFileTypes) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto type = static_cast<DType>(i);
    if (is_packed(type)) {
      EXPECT_EQ(packed_type(info(type).file_type), type) << name(type);
      EXPECT_EQ(packed_type(type), std::nullopt) << name(type);
    }
  }
}

#ifndef GODWIT_DEBUG  // a Bug aborts in debug builds
TEST(Repack, RefusesPartsOfBlocksAndOtherTypes) {
  EXPECT_THROW(panel_bytes(DType::kMXFP4x16, 33), Bug);
  EXPECT_THROW(panel_bytes(DType::kQ4_0x16, 48), Bug);
  EXPECT_THROW(panel_bytes(DType::kMXFP4, 32), Bug);
}
#endif

}  // namespace
}  // namespace godwit
