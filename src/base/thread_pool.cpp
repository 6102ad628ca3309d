#include "base/thread_pool.h"

#include <immintrin.h>

#include <chrono>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace godwit {
namespace {

constexpr std::chrono::microseconds kSpin{30};

// True when `ready` became true within the spin.
template <class F>
bool spin_until(const F& ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

void set_float_mode() { _mm_setcsr(_mm_getcsr() | 0x8040); }

std::thread start_thread(std::function<void()> f) {
  try {
    return std::thread(std::move(f));
  } catch (const std::system_error& e) {
    fail(ErrorKind::kMemory,
         "threads: the system refuses one: {}; lower -t, or raise its limits of memory and processes",
         std::strerror(e.code().value()));
  }
}

ThreadPool::ThreadPool(int n_threads) {
  CHECK(n_threads >= 1, "a pool of {} threads", n_threads);
  set_float_mode();
  threads_.reserve(static_cast<size_t>(n_threads - 1));
  try {
    for (int i = 1; i < n_threads; ++i) threads_.push_back(start_thread([this] { loop(); }));
  } catch (...) {
    stop_threads();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop_threads(); }

void ThreadPool::stop_threads() {
  {
    std::lock_guard lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
}

void ThreadPool::run(int64_t n, Task task, const void* f) {
  if (n <= 0) return;
  if (threads_.empty() || n == 1) {
    for (int64_t i = 0; i < n; ++i) task(f, i);
    return;
  }
  CHECK(n < (int64_t{1} << 31), "{} tasks", n);
  task_ = task;
  f_ = f;
  done_.store(0, std::memory_order_relaxed);
  jobs_.store(static_cast<uint64_t>(n) << 32, std::memory_order_release);
  generation_.fetch_add(1);
  if (sleeping_.load() > 0) {
    { std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }
  take_tasks();
  const auto finished = [&] { return done_.load(std::memory_order_acquire) == n; };
  // A worker that was preempted in the middle of a task: let it run instead of burning its core.
  while (!spin_until(finished)) std::this_thread::yield();
}

void ThreadPool::take_tasks() {
  uint64_t job = jobs_.load(std::memory_order_acquire);
  while (true) {
    const uint64_t index = job & 0xffffffffu;
    if (index >= job >> 32) return;
    // What the word says when it is exchanged is what holds now: task_ and f_ stay until this task is counted as done.
    if (!jobs_.compare_exchange_weak(job, job + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    task_(f_, static_cast<int64_t>(index));
    done_.fetch_add(1, std::memory_order_acq_rel);
    job = jobs_.load(std::memory_order_acquire);
  }
}

void ThreadPool::loop() {
  set_float_mode();
  uint32_t seen = 0;
  while (true) {
    const auto changed = [&] { return generation_.load() != seen || stop_.load(); };
    if (!spin_until(changed)) {
      std::unique_lock lock(mutex_);
      sleeping_.fetch_add(1);
      wake_.wait(lock, changed);
      sleeping_.fetch_sub(1);
    }
    if (stop_.load()) return;
    seen = generation_.load();
    take_tasks();
  }
}

}  // namespace godwit
