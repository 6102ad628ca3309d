// The floating-point environment that exact conversions need, whatever the caller's is.
#pragma once

#include <cfenv>

namespace godwit {

/// While it lives, subnormals are kept (no flush-to-zero, no denormals-are-zero) and rounding is to nearest even.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  std::fenv_t saved_;
};

}  // namespace godwit
