// An audit's report for people: tables, sentences and a plot, from the same JSON that --json prints.
#pragma once

#include <string>

#include "base/json_fwd.h"

namespace godwit {

std::string audit_text(const Json& report);

}  // namespace godwit
