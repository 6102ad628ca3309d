// One pool an engine. Tasks are small and handed out dynamically, so a preempted thread delays one task, not the step;
// idle threads spin for a few microseconds, then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace godwit {

/// Turns flush-to-zero and denormals-are-zero on for the calling thread (docs/numerics.md): done by every pool for its
/// threads and for the thread that makes it.
void set_float_mode();

/// A thread that runs `f`. Throws Error (kMemory) when the system refuses it: its stack, or one more thread.
std::thread start_thread(std::function<void()> f);

class ThreadPool {
 public:
  /// n_threads with the caller among them; at least 1. Throws as start_thread.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  using Task = void (*)(const void* f, int64_t index);
  /// Calls task(f, i) for each i < n once, on any thread; returns when all are done. Not reentrant, one caller at a
  /// time. Tasks do not throw.
  void run(int64_t n, Task task, const void* f);

  template <class F>
  void parallel(int64_t n, const F& f) {
    run(
        n, [](const void* g, int64_t i) { (*static_cast<const F*>(g))(i); }, &f);
  }

 private:
  void take_tasks();
  void loop();
  void stop_threads();

  std::vector<std::thread> threads_;
  Task task_ = nullptr;
  const void* f_ = nullptr;
  // Number of tasks in the high 32 bits, next index in the low ones: one word, so a late thread never takes a task that
  // the running job does not have.
  alignas(64) std::atomic<uint64_t> jobs_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace godwit
