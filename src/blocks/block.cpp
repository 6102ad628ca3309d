#include "blocks/block.h"

namespace godwit {

LinearWeight linear_weight(const Scope& scope, const std::string& name, int64_t n, int64_t k, bool biased) {
  LinearWeight w;
  w.weight = scope.get(name + ".weight", {n, k});
  w.bias = biased ? scope.get(name + ".bias", {n}) : scope.find(name + ".bias", {n});
  return w;
}

ConvWeight conv_weight(const Scope& scope, const std::string& name, int64_t channels, int64_t taps, bool biased) {
  ConvWeight w;
  w.weight = scope.get(name + ".weight", {channels, taps});
  if (biased) w.bias = scope.get(name + ".bias", {channels});
  return w;
}

Norm norm(const Scope& scope, const std::string& name, int64_t width, float eps, bool plus_one) {
  return {scope.get(name + ".weight", {width}), eps, plus_one};
}

}  // namespace godwit
