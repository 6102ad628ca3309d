#include "base/random.h"
#include "formats/weight_source.h"
#include "formats/weights.h"
#include "tensor/encode.h"

namespace godwit {
namespace {

class RandomSource final : public WeightSource {
 public:
  RandomSource(uint64_t seed, DType type, bool gains_are_offsets)
      : seed_(seed), type_(type), gains_are_offsets_(gains_are_offsets) {}

  std::optional<Info> find(const std::string& name, const Shape& expected, bool required) const override {
    if (!required) return std::nullopt;
    if (kept_in_f32(name, expected)) return Info{DType::kF32, expected};
    return Info{expected[-1] % godwit::info(type_).block == 0 ? type_ : DType::kF16, expected};
  }

  void read_rows(const std::string& name, const Info& info, int64_t first, int64_t n, std::byte* out) const override {
    const int64_t width = info.shape[-1], row_bytes = matrix_bytes(info.dtype, 1, width);
    std::vector<float> row(static_cast<size_t>(width));
    for (int64_t r = 0; r < n; ++r) {
      fill(name, (first + r) * width, row);
      encode_row(info.dtype, row.data(), out + r * row_bytes, width);
    }
  }

  std::vector<std::string> unused(const std::vector<Wanted>&) const override { return {}; }

 private:
  // Four uniforms make a normal near enough; what matters is that it is the same everywhere.
  void fill(const std::string& name, int64_t first, std::vector<float>& row) const {
    const SplitName split = split_gguf_name(name);
    const bool gain = split.stem.ends_with("norm"), bias = split.suffix == ".bias";
    const float mean = gain && !gains_are_offsets_ ? 1.0f : 0.0f;
    const float deviation = gain || bias ? 0.0f : 0.02f;
    uint64_t key = mix64(seed_);
    for (char c : name) key = mix64(key ^ static_cast<uint64_t>(static_cast<unsigned char>(c)));
    for (size_t i = 0; i < row.size(); ++i) {
      const uint64_t bits = random_bits(key, 0, static_cast<uint64_t>(first) + i);
      float sum = 0.0f;
      for (int part = 0; part < 4; ++part) sum += static_cast<float>((bits >> (16 * part)) & 0xffff) / 65536.0f - 0.5f;
      row[i] = mean + deviation * 1.7320508f * sum;  // four uniforms: variance 4 / 12
    }
  }

  uint64_t seed_;
  DType type_;
  bool gains_are_offsets_;
};

}  // namespace

std::unique_ptr<WeightSource> random_source(uint64_t seed, DType type, bool gains_are_offsets) {
  return std::make_unique<RandomSource>(seed, type, gains_are_offsets);
}

}  // namespace godwit
