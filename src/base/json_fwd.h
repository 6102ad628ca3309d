// The name of JSON values, for headers that only pass them on: base/json.h takes a second to compile.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace godwit {

/// Objects keep the order of the text. Their look-up is linear: walk a large object, do not index it by key.
using Json = nlohmann::ordered_json;

}  // namespace godwit
