#include "engine/page_store.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/error.h"
#include "base/poison.h"

#ifdef GODWIT_DEBUG
#include <cstring>
#endif

namespace godwit {
namespace {

constexpr int64_t kSystemPage = 4096;  // of x86-64; madvise works on these

void spoil([[maybe_unused]] std::byte* page, [[maybe_unused]] int64_t bytes) {
#ifdef GODWIT_DEBUG
  std::memset(page, 0xff, static_cast<size_t>(bytes));
#endif
  poison(page, bytes);
}

void unspoil([[maybe_unused]] std::byte* page, [[maybe_unused]] int64_t bytes) { unpoison(page, bytes); }

}  // namespace

int64_t PageStore::rounded(int64_t page_bytes) { return (page_bytes + kSystemPage - 1) / kSystemPage * kSystemPage; }

PageStore::PageStore(const std::vector<int64_t>& page_bytes, int64_t budget_bytes) : total_(budget_bytes) {
  CHECK(budget_bytes >= 0, "a budget of {} bytes", budget_bytes);
  for (int64_t bytes : page_bytes) {
    CHECK(bytes > 0, "a page of {} bytes", bytes);
    Group& group = groups_.emplace_back();
    group.stride = rounded(bytes);
    group.capacity = budget_bytes / group.stride;
  }
  for (Group& group : groups_) {
    if (group.capacity == 0) continue;
    void* memory = mmap(nullptr, static_cast<size_t>(group.capacity * group.stride), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      for (const Group& g : groups_)
        if (g.base != nullptr) munmap(g.base, static_cast<size_t>(g.capacity * g.stride));
      fail(ErrorKind::kMemory, "sequence state: the system refuses {} bytes; lower -c or --memory", budget_bytes);
    }
    group.base = static_cast<std::byte*>(memory);
  }
}

PageStore::~PageStore() {
  for (const Group& group : groups_) {
    if (group.base == nullptr) continue;
    unspoil(group.base, static_cast<int64_t>(group.pages.size()) * group.stride);
    munmap(group.base, static_cast<size_t>(group.capacity * group.stride));
  }
}

size_t PageStore::index(size_t group, const std::byte* page) const {
  const Group& g = groups_[group];
  const int64_t offset = page - g.base;
  CHECK(page != nullptr && offset >= 0 && offset % g.stride == 0 &&
            offset / g.stride < static_cast<int64_t>(g.pages.size()),
        "not a page of group {}: offset {}", group, offset);
  return static_cast<size_t>(offset / g.stride);
}

void PageStore::count(size_t group, const Page& page, int64_t sign) {
  const int64_t bytes = sign * groups_[group].stride;
  if (page.sequences > 0) {
    used_ += bytes;
  } else if (page.tree > 0) {
    cached_ += bytes;
  }
}

void PageStore::give_back_memory(int64_t wanted) {
  for (Group& group : groups_) {
    while (!group.warm.empty() && resident_ + wanted > total_) {
      const int64_t i = group.warm.back();
      group.warm.pop_back();
      madvise(group.base + i * group.stride, static_cast<size_t>(group.stride), MADV_DONTNEED);
      group.cold.push_back(i);
      resident_ -= group.stride;
    }
  }
}

void PageStore::make_list_room(Group& group) {
  if (group.pages.size() < group.pages.capacity()) return;
  const size_t room = std::max<size_t>(16, 2 * group.pages.size());
  group.warm.reserve(room);
  group.cold.reserve(room);
  group.pages.reserve(room);
}

std::byte* PageStore::acquire(size_t group) {
  Group& g = groups_[group];
  CHECK(free_bytes() >= g.stride, "a page of {} bytes from {} free ones", g.stride, free_bytes());
  int64_t i = static_cast<int64_t>(g.pages.size());
  if (!g.warm.empty()) {
    i = g.warm.back();
    g.warm.pop_back();
  } else {
    // Before anything changes: what follows, and letting go, needs no memory.
    if (g.cold.empty()) make_list_room(g);
    give_back_memory(g.stride);
    resident_ += g.stride;
    if (g.cold.empty()) {
      g.pages.emplace_back();
    } else {
      i = g.cold.back();
      g.cold.pop_back();
    }
  }
  CHECK(i < g.capacity && resident_ <= total_, "page {} of {}, {} bytes of {}", i, g.capacity, resident_, total_);
  Page& page = g.pages[static_cast<size_t>(i)];
  page.sequences = 1;
  count(group, page, +1);
  std::byte* memory = g.base + i * g.stride;
  unspoil(memory, g.stride);
  return memory;
}

void PageStore::hold(size_t group, const std::byte* memory, Holder holder) {
  Page& page = groups_[group].pages[index(group, memory)];
  CHECK(page.sequences > 0 || page.tree > 0, "a free page of group {} is asked for by address", group);
  count(group, page, -1);
  ++page.by(holder);
  count(group, page, +1);
}

void PageStore::drop(size_t group, const std::byte* memory, Holder holder) {
  Group& g = groups_[group];
  const size_t i = index(group, memory);
  Page& page = g.pages[i];
  CHECK(page.by(holder) > 0, "a page of group {} is let go by one who does not hold it", group);
  count(group, page, -1);
  --page.by(holder);
  count(group, page, +1);
  if (page.sequences > 0 || page.tree > 0) return;
  spoil(g.base + static_cast<int64_t>(i) * g.stride, g.stride);
  g.warm.push_back(static_cast<int64_t>(i));
}

int32_t PageStore::holds(size_t group, const std::byte* memory, Holder holder) const {
  Page page = groups_[group].pages[index(group, memory)];
  return page.by(holder);
}

void PageStore::check(const std::vector<std::vector<Held>>& held_by_group) const {
  CHECK(held_by_group.size() == groups_.size(), "{} groups listed of {}", held_by_group.size(), groups_.size());
  int64_t used = 0, cached = 0, resident = 0;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    std::vector<Page> expected(group.pages.size());
    for (const Held& held : held_by_group[g]) ++expected[index(g, held.page)].by(held.holder);
    CHECK(expected == group.pages, "group {}: pages are not held as listed", g);
    for (const std::vector<int64_t>* list : {&group.warm, &group.cold}) {
      for (int64_t i : *list) {
        Page& page = expected[static_cast<size_t>(i)];
        CHECK(page == Page{}, "group {}: page {} is free twice, or held", g, i);
        page.sequences = -1;  // seen
      }
    }
    int64_t live = 0;
    for (const Page& page : expected) {
      CHECK(!(page == Page{}), "group {}: a page is lost", g);
      if (page.sequences > 0) used += group.stride;
      if (page.sequences == 0) cached += group.stride;
      if (page.sequences >= 0) ++live;
    }
    resident += (live + static_cast<int64_t>(group.warm.size())) * group.stride;
  }
  CHECK(used == used_ && cached == cached_ && resident == resident_ && resident <= total_ && free_bytes() >= 0,
        "used {} counted {}, cached {} counted {}, resident {} counted {}, total {}", used_, used, cached_, cached,
        resident_, resident, total_);
}

}  // namespace godwit
