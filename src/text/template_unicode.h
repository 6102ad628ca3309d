// What Python's string methods know about single code points.
#pragma once

#include <cstdint>
#include <string>

namespace godwit::jinja {

/// str.isprintable of one code point.
bool is_printable(uint32_t code);
bool is_alpha(uint32_t code);
bool is_decimal(uint32_t code);
bool is_digit(uint32_t code);
bool is_numeric(uint32_t code);
bool is_upper(uint32_t code);
bool is_lower(uint32_t code);
bool is_title(uint32_t code);
/// Whether case mapping passes over it when it looks for a word's end (final sigma).
bool is_case_ignorable(uint32_t code);

/// Append the code point in the other case: one to three code points, by Unicode's full mapping without conditions.
void append_upper(std::string& out, uint32_t code);
void append_lower(std::string& out, uint32_t code);
void append_title(std::string& out, uint32_t code);
void append_folded(std::string& out, uint32_t code);

}  // namespace godwit::jinja
