#pragma once
#include "ops/state.h"
namespace godwit {
class StatePool {
 public:
  StatePool(const StateLayout& layout, int64_t budget, int64_t chunk) : layout_(layout) {
    (void)budget;
    (void)chunk;
  }
  bool reserve(SequenceState& s, int64_t n) {
    s.pages.resize(layout_.groups.size());
    for (size_t g = 0; g < s.pages.size(); ++g)
      while (static_cast<int64_t>(s.pages[g].size()) * kPageTokens < s.absorbed + n)
        s.pages[g].push_back(static_cast<std::byte*>(
            ::operator new(static_cast<size_t>(layout_.groups[g].page_bytes), std::align_val_t(64))));
    return true;
  }
  void release(SequenceState& s) {
    for (auto& g : s.pages)
      for (auto* p : g) ::operator delete(p, std::align_val_t(64));
    s.pages.clear();
  }

 private:
  const StateLayout& layout_;
};
}  // namespace godwit
