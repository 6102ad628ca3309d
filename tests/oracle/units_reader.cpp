// For tests/oracle/units_fuzz.py: one unit of text/ (text/units.h says which there are) over many strings. Each line of
// the input is a string in hexadecimal, each line of the output its result.
#include "text/units.h"

#include <fstream>
#include <iostream>
#include <iterator>

#include "base/error.h"

int main(int argc, char** argv) {
  using namespace godwit;
  std::ios::sync_with_stdio(false);
  const auto read_file = [](const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  try {
    const testing::Unit unit = testing::make_unit({argv + 1, argv + argc}, read_file);
    for (std::string line; std::getline(std::cin, line);) std::cout << unit(testing::from_hex(line)) << '\n';
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
  return 0;
}
