// The safetensors header: the first two bytes are the size of the data, the rest is the header. What is accepted must
// tile the data.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint64_t data_size = data[0] | static_cast<uint64_t>(data[1]) << 8;
  const std::string_view header(reinterpret_cast<const char*>(data) + 2, size - 2);
  constexpr uint64_t kStart = 1000;
  godwit::StoredModel model;
  try {
    godwit::parse_safetensors_header(header, data_size, "fuzz", 0, kStart, model);
  } catch (const godwit::Error& e) {
    const std::string_view message = e.what();
    if (message.size() > 512 || godwit::find_invalid_utf8(message) != std::string_view::npos) std::abort();
    return 0;
  }
  uint64_t bytes = 0;
  std::vector<std::pair<uint64_t, uint64_t>> places;
  for (const godwit::StoredTensor& t : model.tensors) {
    if (t.bytes != static_cast<uint64_t>(godwit::matrix_bytes(t.dtype, t.shape.count(), 1))) std::abort();
    if (t.offset < kStart || t.offset + t.bytes > kStart + data_size) std::abort();
    if (model.find(t.name) != &t) std::abort();
    places.emplace_back(t.offset, t.offset + t.bytes);
    bytes += t.bytes;
  }
  for (const auto& [name, c] : model.codes) {
    if (c.shape.count() < 0 || c.offset < kStart) std::abort();
    if (c.offset + static_cast<uint64_t>(c.shape.count()) > kStart + data_size) std::abort();
    places.emplace_back(c.offset, c.offset + static_cast<uint64_t>(c.shape.count()));
    bytes += static_cast<uint64_t>(c.shape.count());
  }
  std::sort(places.begin(), places.end());
  for (size_t i = 1; i < places.size(); ++i)
    if (places[i].first < places[i - 1].second) std::abort();
  if (bytes > data_size || (model.other_dtypes.empty() && bytes != data_size)) std::abort();
  return 0;
}
