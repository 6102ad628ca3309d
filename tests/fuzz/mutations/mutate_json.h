// Changes to JSON that keep it JSON: what a file of a model folder might say.
#pragma once

#include <string>
#include <vector>

#include "dice.h"

namespace godwit::testing {

/// `text` (JSON) with one change: a value replaced, by an extreme, a neighbour or another part of the file, a key
/// removed, doubled, renamed or added, an array made longer or shorter; rarely, bytes. `words` are what strings may
/// become. Text that is no JSON (any more) gets its bytes changed.
std::string mutate_json(const std::string& text, const std::vector<std::string>& words, Dice& dice);

/// A safetensors file: its header as JSON, its length field or its data.
void mutate_safetensors(std::string& file, Dice& dice);

/// All strings and keys of a JSON text.
void collect_words(const std::string& text, std::vector<std::string>& words);

}  // namespace godwit::testing
