#include "dice.h"

#include <algorithm>

namespace godwit::testing {

std::string some_word(Dice& dice, const std::vector<std::string>& words) {
  static const std::vector<std::string> kOdd = {"",
                                                " ",
                                                "a",
                                                "\xFF\xFE",
                                                "\xED\xA0\x80",
                                                std::string("a\0b", 3),
                                                "../../etc/passwd",
                                                "/dev/zero",
                                                "<0x-1>",
                                                "<0xZZ>",
                                                "<0x100>",
                                                "%s%n",
                                                "{}",
                                                "\u2581",
                                                "\U0010FFFF\u202E",
                                                "(a+)+$",
                                                "(((a{1000}){1000}){1000})",
                                                "linear",
                                                "yarn",
                                                "silu",
                                                "float32",
                                                "null",
                                                "-1",
                                                "1e999"};
  if (!words.empty() && !dice.one_in(3)) return dice.of(words);
  if (dice.one_in(6)) return std::string(size_t{1} << (6 + dice.below(11)), dice.one_in(2) ? 'a' : ' ');
  return dice.of(kOdd);
}

void mutate_bytes(std::string& bytes, Dice& dice) {
  if (bytes.empty()) {
    bytes = std::string(1 + dice.below(16), static_cast<char>(dice.bits()));
    return;
  }
  const size_t at = dice.below(bytes.size());
  const size_t n = std::min(bytes.size() - at, size_t{1} << dice.below(8));
  switch (dice.below(8)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice.below(8)));
      break;
    case 1:
      bytes[at] = static_cast<char>(dice.bits());
      break;
    case 2:
      bytes.erase(at, n);
      break;
    case 3:
      bytes.insert(at, bytes.substr(at, n));
      break;
    case 4:
      bytes.insert(dice.below(bytes.size()), bytes.substr(at, n));
      break;
    case 5:
      bytes.resize(at);
      break;
    case 6:
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, dice.one_in(2) ? '\xFF' : '\0');
      break;
    default:
      bytes.append(n, static_cast<char>(dice.bits()));
  }
  dice.log += " bytes at " + std::to_string(at) + ";";
}

void mutate_template(std::string& text, Dice& dice) {
  static const std::vector<std::string> kPieces = {
      "{% for m in messages %}",
      "{% endfor %}",
      "{% if ",
      "{% else %}",
      "{% endif %}",
      "{{ ",
      " }}",
      "{%- ",
      " -%}",
      "{# ",
      "{% macro f(a, b=1) %}{{ f(a) }}{% endmacro %}{{ f(1) }}",
      "{% set ns = namespace(a=1) %}",
      "{% for i in range(10**9) %}x{% endfor %}",
      "{% for i in range(1000) %}{% for j in range(1000) %}{% for k in range(1000) %}{% endfor %}{% endfor %}{% endfor "
      "%}",
      "{{ 'a' * 10**9 }}",
      "{% set s = 'ab' %}{% for i in range(60) %}{% set s = s + s %}{% endfor %}",
      "{{ messages[0]['content'].__class__ }}",
      "{{ messages | tojson(indent=100000) }}",
      "{{ messages | map(attribute='role') | join(', ') | upper }}",
      "{{ strftime_now('%Y' * 1000) }}",
      "{{ raise_exception('no') }}",
      "{{ raise_exception('x' * 100000) }}",
      "{{ messages[-1:][0].content.split(' ')[::-1] | list | length }}",
      "{{ 1 // 0 }}",
      "{{ 2 ** 2 ** 2 ** 2 ** 2 }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 'x'.center(10**8) }}",
      "{{ '%s' | format(1) }}",
      "{{ messages.append(messages) }}",
      "{% generation %}",
      "{% call f() %}",
      "{% filter upper %}",
      " in ",
      " is defined ",
      " | trim ",
      " and not ",
      "[::0]",
      "[1:-1]",
      "((((((((((((((((((((((((((((((((",
      "\xFF",
      "loop.index0",
      "bos_token",
      "\"",
      "'",
      "\\",
      "%}"};
  if (text.empty()) text = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}";
  const size_t at = dice.below(text.size());
  const size_t n = std::min(text.size() - at, size_t{1} << dice.below(7));
  dice.log += " template at " + std::to_string(at) + ";";
  switch (dice.below(6)) {
    case 0:
      text.erase(at, n);
      break;
    case 1:
      text.insert(dice.below(text.size()), text.substr(at, n));
      break;
    case 2:
      for (size_t times = size_t{1} << dice.below(13); times > 0 && text.size() < 200'000; --times)
        text.insert(at, dice.one_in(2) ? "(" : "{% if 1 %}");
      break;
    case 3:
      mutate_bytes(text, dice);
      break;
    default: {
      // Where the language goes on: behind a tag.
      size_t place = text.find(dice.one_in(2) ? "%}" : "}}", at);
      place = place == std::string::npos || dice.one_in(3) ? at : place + 2;
      text.insert(place, dice.of(kPieces));
    }
  }
}

}  // namespace godwit::testing
