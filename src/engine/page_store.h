// Pages of sequence state: where their memory comes from, who holds each of them, and how many bytes that makes. Not
// thread-safe: it belongs to the engine's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace godwit {

/// A page may be held by several sequences and by the tree of remembered prefixes.
enum class Holder : uint8_t { kSequence, kTree };

/// Pages of several sizes (one a group) within one budget. Each group has address space for the whole budget, of which
/// memory is taken when a page is first used; what one group has let go is given back to the system when another needs
/// it, so no group's appetite starves the others. A page's bytes are rounded up to the system's page, and counted so.
///
/// A page is used (some sequence holds it), cached (only the tree does) or free: free + used + cached = total, always.
/// A page that is handed out holds whatever it last held, or zeros: attention masks what was not written since. Debug
/// builds fill freed pages with 0xff (NaN in every cache type), address sanitizer builds poison them too.
class PageStore {
 public:
  /// Throws Error (kMemory) when the system refuses the address space.
  PageStore(const std::vector<int64_t>& page_bytes, int64_t budget_bytes);
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  /// A page of the group, held once, by a sequence. There must be free bytes for it. May throw std::bad_alloc, then
  /// nothing has changed; hold and drop never do.
  std::byte* acquire(size_t group);
  void hold(size_t group, const std::byte* page, Holder holder);
  /// The page is free when nobody holds it any longer.
  void drop(size_t group, const std::byte* page, Holder holder);
  /// How often it is held.
  int32_t holds(size_t group, const std::byte* page, Holder holder) const;

  size_t n_groups() const { return groups_.size(); }
  /// Bytes that a page takes, rounding included.
  int64_t page_bytes(size_t group) const { return groups_[group].stride; }
  int64_t total_bytes() const { return total_; }
  int64_t used_bytes() const { return used_; }
  int64_t cached_bytes() const { return cached_; }
  int64_t free_bytes() const { return total_ - used_ - cached_; }
  /// Memory taken from the system: pages held, and free ones that are kept for the next need. At most total.
  int64_t resident_bytes() const { return resident_; }

  /// One hold on a page.
  struct Held {
    const std::byte* page;
    Holder holder;
  };
  /// Throws Bug unless the books are right: every page is held exactly as listed for its group, free pages by nobody.
  void check(const std::vector<std::vector<Held>>& held_by_group) const;

  /// A page's bytes rounded up to the system's page.
  static int64_t rounded(int64_t page_bytes);

 private:
  struct Page {
    int32_t sequences = 0, tree = 0;
    int32_t& by(Holder holder) { return holder == Holder::kSequence ? sequences : tree; }
    bool operator==(const Page&) const = default;
  };
  struct Group {
    std::byte* base = nullptr;
    int64_t stride = 0, capacity = 0;  // capacity: pages that the budget could hold
    std::vector<Page> pages;           // those that were ever handed out
    std::vector<int64_t> warm, cold;   // free ones: with memory behind them, and without
  };

  size_t index(size_t group, const std::byte* page) const;
  /// Adds `sign` times the page's bytes to the books of what it is now.
  void count(size_t group, const Page& page, int64_t sign);
  void give_back_memory(int64_t wanted);
  /// Room for one more page in each of the group's lists.
  static void make_list_room(Group& group);

  std::vector<Group> groups_;
  int64_t total_ = 0, used_ = 0, cached_ = 0, resident_ = 0;
};

}  // namespace godwit
