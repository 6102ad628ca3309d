// How much memory a test takes through operator new, at its highest.
#pragma once

#include <cstdint>

namespace godwit {

/// Whether allocations are counted: not under sanitizers, which bring allocators of their own.
bool memory_is_counted();

/// Bytes that were allocated at the highest moment since the last reset, above what was allocated at that reset.
int64_t memory_peak();
void reset_memory_peak();

}  // namespace godwit
