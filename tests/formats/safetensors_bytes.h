// safetensors files as bytes, and the outcome of reading them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "formats/safetensors.h"

namespace godwit {

/// A file of this header and so many bytes of data.
inline std::string safetensors_bytes(std::string_view header, size_t data_bytes) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i));
  bytes += header;
  for (size_t i = 0; i < data_bytes; ++i) bytes += static_cast<char>(i);
  return bytes;
}

/// The message of the Error that `read` throws, which must be one line, short, valid UTF-8; empty when it throws none.
template <class Read>
std::string error_of(Read read) {
  try {
    read();
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << message;
    EXPECT_FALSE(message.empty());
    EXPECT_LE(message.size(), 512u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(find_invalid_utf8(message), std::string_view::npos) << message;
    return message;
  }
  return "";
}

}  // namespace godwit
