// Random numbers as a function of where they are used: no stream, no order. Source: SplitMix64 (Steele et al. 2014).
#pragma once

#include <cstdint>

namespace godwit {

/// Mixes 64 bits so that every output bit depends on every input bit.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// 64 random bits of (seed, choice, position).
constexpr uint64_t random_bits(uint64_t seed, uint64_t choice, uint64_t position) {
  return mix64(mix64(mix64(seed) ^ choice) ^ position);
}

/// Uniform in [0, 1) with 53 bits.
constexpr double random_unit(uint64_t seed, uint64_t choice, uint64_t position) {
  return static_cast<double>(random_bits(seed, choice, position) >> 11) * 0x1.0p-53;
}

}  // namespace godwit
