#include <algorithm>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"

namespace godwit {
namespace {

uint64_t data_bytes(const TensorToWrite& tensor) {
  CHECK(tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16,
        "tensor {} of type {} has no place in safetensors", tensor.name, name(tensor.dtype));
  return static_cast<uint64_t>(tensor.shape.count()) * static_cast<uint64_t>(info(tensor.dtype).block_bytes);
}

/// The header of tensors that lie one after the other, padded so that the data begins at a multiple of 8.
std::string header_of(const std::vector<const TensorToWrite*>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  uint64_t begin = 0;
  for (const TensorToWrite* t : tensors) {
    const uint64_t end = begin + data_bytes(*t);
    header += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", dump_json(Json(t->name)),
                          name(t->dtype),
                          fmt::join(t->shape.sizes.begin(), t->shape.sizes.begin() + t->shape.rank, ","), begin, end);
    begin = end;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<const TensorToWrite*> ordered;
  uint64_t total = 0;
  for (const TensorToWrite& t : tensors) {
    ordered.push_back(&t);
    total += data_bytes(t);
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return info(a->dtype).block_bytes > info(b->dtype).block_bytes;
  });
  OutputFile file(path);
  const std::string header = header_of(ordered);
  const uint64_t length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  uint64_t done = 0;
  for (const TensorToWrite* t : ordered) {
    uint64_t written = 0;
    t->fill([&](const std::byte* bytes, size_t size) {
      file.write(std::span(bytes, size));
      written += size;
      if (progress) progress(static_cast<int64_t>(done + written), static_cast<int64_t>(total));
    });
    CHECK(written == data_bytes(*t), "tensor {} was given {} bytes, not {}", t->name, written, data_bytes(*t));
    done += written;
  }
  file.commit();
}

}  // namespace godwit
