#include "formats/weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "tensor/decode.h"
#include "tensor/repack.h"

namespace godwit {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kChunk = int64_t{64} << 20;  // address space taken at once
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kTaskBytes = int64_t{256} << 10;  // of the file, read by one task

// Of one matrix of a stack; of everything, where it is none.
int64_t slice_rows(const Tensor& t) { return t.is_stack() ? t.shape[1] : t.rows(); }

}  // namespace

bool kept_in_f32(const std::string& name, const Shape& shape) {
  if (shape.rank <= 1 || !name.ends_with(".weight")) return true;
  for (const char* stem : {"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "ssm_conv1d.weight",
                           "shortconv.conv.weight"})
    if (name.ends_with(stem)) return true;
  return false;
}

struct Weights::Memory {
  std::vector<std::pair<void*, size_t>> regions;
  std::byte* next = nullptr;
  int64_t left = 0;
  ~Memory() {
    for (const auto& [p, n] : regions) munmap(p, n);
  }
};

Weights::Weights(std::unique_ptr<WeightSource> source, LoadOptions options)
    : source_(std::move(source)), options_(options), memory_(std::make_unique<Memory>()) {}

Weights::~Weights() = default;

// Address space only: pages become memory when load() fills them, so building a model costs nothing.
std::byte* Weights::reserve(int64_t bytes) {
  const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded > memory_->left) {
    memory_->regions.reserve(memory_->regions.size() + 1);  // what is mapped is always in the list
    const int64_t size = std::max(kChunk, (rounded + kHugePage - 1) / kHugePage * kHugePage) + kHugePage;
    void* p = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail(ErrorKind::kMemory, "weights: the system refuses {} bytes of address space", size);
    madvise(p, static_cast<size_t>(size), MADV_HUGEPAGE);
    memory_->regions.emplace_back(p, static_cast<size_t>(size));
    const auto address = reinterpret_cast<uintptr_t>(p);
    const auto aligned = (address + kHugePage - 1) / kHugePage * kHugePage;
    memory_->next = reinterpret_cast<std::byte*>(aligned);
    memory_->left = size - static_cast<int64_t>(aligned - address);
  }
  std::byte* p = memory_->next;
  memory_->next += rounded;
  memory_->left -= rounded;
  return p;
}

Tensor Weights::find(const std::string& name, Shape shape) { return place(name, shape, false); }

Tensor Weights::place(const std::string& name, Shape shape, bool required) {
  if (auto it = by_name_.find(name); it != by_name_.end()) {
    const Tensor& t = parameters_[it->second].tensor;
    CHECK(t.shape == shape, "{}: asked for as {} and {}", name, t.shape.text(), shape.text());
    return t;
  }
  const auto found = source_->find(name, shape, required);
  if (!found) return {};
  if (!(found->shape == shape))
    invalid("{}: expected shape {}, the file has {}", name, shape.text(), found->shape.text());
  const int64_t width = shape[-1];
  if (width % info(found->dtype).block != 0)
    invalid("{}: rows of {} elements do not fill blocks of {}", name, width, godwit::name(found->dtype));

  Parameter parameter{name, {}, found->dtype, found->by_slice};
  Tensor& t = parameter.tensor;
  t.shape = shape;
  t.dtype = kept_in_f32(name, shape) ? DType::kF32
            : options_.repack        ? packed_type(found->dtype).value_or(found->dtype)
                                     : found->dtype;
  if (!options_.repack && t.dtype == found->dtype) t.data = const_cast<std::byte*>(source_->mapped(name, *found));
  if (t.data == nullptr) t.data = reserve(t.bytes());
  parameters_.push_back(parameter);
  by_name_[name] = parameters_.size() - 1;
  return t;
}

Tensor Weights::get(const std::string& name, Shape shape) {
  Tensor t = place(name, shape, true);
  if (t.empty()) invalid("{}: missing, expected shape {}", name, shape.text());
  return t;
}

Scope Weights::root() { return {*this, ""}; }
Scope Weights::block(int64_t i) { return {*this, fmt::format("blk.{}.", i)}; }

void Weights::check_all_used() const {
  std::vector<WeightSource::Wanted> used;
  for (const Parameter& p : parameters_) used.push_back({p.name, p.tensor.shape});
  const auto rest = source_->unused(used);
  if (!rest.empty())
    invalid("tensor {}: this architecture has no such parameter here ({} unknown in all); it would be ignored",
            rest.front(), rest.size());
}

int64_t Weights::count() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.tensor.size();
  return n;
}

int64_t Weights::bytes() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.tensor.bytes();
  return n;
}

int64_t Weights::file_bytes() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += matrix_bytes(p.file_type, p.tensor.rows(), p.tensor.width());
  return n;
}

bool Weights::is_mapped(const Parameter& p) const {
  return !options_.repack && p.tensor.dtype == p.file_type && source_->mapped(p.name, p.info()) == p.tensor.data;
}

int64_t Weights::mapped_bytes() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_)
    if (is_mapped(p)) n += p.tensor.bytes();
  return n;
}

std::vector<std::span<const std::byte>> Weights::stretches() const {
  std::vector<std::span<const std::byte>> parts, all;
  for (const Parameter& p : parameters_) parts.emplace_back(p.tensor.data, static_cast<size_t>(p.tensor.bytes()));
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.data() < b.data(); });
  for (const auto& part : parts) {
    const std::byte* end = part.data() + part.size();
    const bool beside = !all.empty() && part.data() - (all.back().data() + all.back().size()) < kAlignment;
    if (beside)
      all.back() = std::span(all.back().data(), std::max(end, all.back().data() + all.back().size()));
    else
      all.push_back(part);
  }
  return all;
}

// Rows [first, first + n) of a slice; panels begin at a multiple of 16 in it.
void Weights::load_range(const Parameter& parameter, int64_t slice, int64_t first, int64_t n) const {
  const Tensor& t = parameter.tensor;
  const int64_t width = t.width(), file_row = matrix_bytes(parameter.file_type, 1, width);
  const int64_t row = slice * slice_rows(t) + first;
  std::byte* matrix = t.data + slice * t.slice_bytes();
  if (t.dtype == parameter.file_type) {
    source_->read_rows(parameter.name, parameter.info(), row, n, matrix + first * file_row);
    return;
  }
  std::vector<std::byte> raw(static_cast<size_t>(n * file_row));
  source_->read_rows(parameter.name, parameter.info(), row, n, raw.data());
  if (is_packed(t.dtype)) {
    const int64_t panel_bytes = matrix_bytes(t.dtype, 16, width);
    for (int64_t r = 0; r < n; r += 16)
      repack_panel(t.dtype, raw.data() + r * file_row, std::min<int64_t>(16, n - r), width,
                   matrix + (first + r) / 16 * panel_bytes);
    return;
  }
  for (int64_t r = 0; r < n; ++r)
    decode_row(parameter.file_type, raw.data() + r * file_row, t.f32() + (row + r) * width, width);
}

void Weights::load(ThreadPool& pool, const std::function<void(int64_t, int64_t)>& progress) {
  struct Task {
    const Parameter* parameter;
    int64_t slice, first, n;
  };
  std::vector<Task> tasks;
  const int64_t all = file_bytes();
  for (const Parameter& p : parameters_) {
    if (is_mapped(p)) continue;
    const int64_t rows = slice_rows(p.tensor), row_bytes = matrix_bytes(p.file_type, 1, p.tensor.width());
    const int64_t usual = std::max<int64_t>(16, kTaskBytes / std::max<int64_t>(1, row_bytes) / 16 * 16);
    const int64_t step = p.by_slice ? rows : usual;
    for (int64_t slice = 0; slice < (p.tensor.is_stack() ? p.tensor.shape[0] : 1); ++slice)
      for (int64_t first = 0; first < rows; first += step)
        tasks.push_back({&p, slice, first, std::min(step, rows - first)});
  }
  std::mutex mutex;
  std::exception_ptr error;
  std::atomic<int64_t> done{0};
  // In slices, so that the caller can show progress and stop between them.
  const int64_t slice = std::max<int64_t>(4 * pool.size(), static_cast<int64_t>(tasks.size()) / 64 + 1);
  for (int64_t begin = 0; begin < static_cast<int64_t>(tasks.size()); begin += slice) {
    pool.parallel(std::min(slice, static_cast<int64_t>(tasks.size()) - begin), [&](int64_t i) {
      const Task& task = tasks[static_cast<size_t>(begin + i)];
      try {
        load_range(*task.parameter, task.slice, task.first, task.n);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      done += task.n * matrix_bytes(task.parameter->file_type, 1, task.parameter->tensor.width());
    });
    if (error) std::rethrow_exception(error);
    if (progress) progress(done.load(), all);
  }
}

}  // namespace godwit
