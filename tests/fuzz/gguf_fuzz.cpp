// Any bytes as a GGUF file: parsed from memory and, one time in sixteen, opened from a file, with the same outcome.
// Seeds: tests/oracle/formats/*.gguf.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "formats/gguf.h"

namespace {

using godwit::Error;
using godwit::ErrorKind;

void require(bool condition) {
  if (!condition) std::abort();
}

// Whether `act` ran through; an Error must be a well-formed one.
template <class Act>
bool accepted(Act act) {
  try {
    act();
    return true;
  } catch (const Error& e) {
    const std::string message = e.what();
    require(e.kind() == ErrorKind::kInvalid);
    require(message.size() <= 512 && godwit::find_invalid_utf8(message) == std::string::npos);
    return false;
  }
}

void check(const godwit::StoredModel& model, uint64_t file_size) {
  for (const godwit::StoredTensor& t : model.tensors) {
    require(t.bytes > 0 && t.bytes <= file_size && t.offset <= file_size - t.bytes);
    require(model.find(t.name) == &t);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static uint64_t count = 0;
  const bool parsed = accepted([&] {
    godwit::StoredModel model;
    godwit::parse_gguf_header(reinterpret_cast<const std::byte*>(data), size, size, "input", model);
    check(model, size);
  });
  if (++count % 16 != 0) return 0;
  const int fd = ::memfd_create("input", MFD_CLOEXEC);
  require(fd >= 0 && ::write(fd, data, size) == static_cast<ssize_t>(size));
  // Opening looks at the split keys too, and may refuse for them.
  const bool opened = accepted([&] { check(godwit::open_gguf("/proc/self/fd/" + std::to_string(fd)), size); });
  require(parsed || !opened);
  ::close(fd);
  return 0;
}
