// The whole files that mutations start from, and what a mutation makes of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mutate_gguf.h"

namespace godwit::testing {

/// A model as files to be: a folder, or one GGUF file. Names to contents.
struct ModelFiles {
  std::string name;  // what it is made of and what was changed, for people
  bool gguf = false;
  std::map<std::string, std::string> files;  // of a GGUF file: "model.gguf"
};

/// All small models and tokenizers, in memory.
class Bases {
 public:
  /// From the folder tests/oracle. `only`: of models whose names contain it. `scratch` is a folder to write in.
  Bases(const std::string& oracle, const std::string& only, const std::string& scratch);

  size_t models() const { return models_.size(); }
  size_t tokenizers() const { return keys_.size() + texts_.size(); }

  /// One model with one tokenizer and template, as they are.
  ModelFiles whole(size_t model, bool gguf, size_t tokenizer, Dice& dice) const;
  /// The same with 1 to 4 changes.
  ModelFiles mutated(Dice& dice) const;

 private:
  struct Model {
    std::string name;
    std::map<std::string, std::string> folder;
    GgufParts gguf;  // without tensors where the model has no such form
  };
  void read_models(const std::string& oracle, const std::string& only, const std::string& scratch);
  void read_tokenizers(const std::string& oracle, const std::string& scratch);
  GgufParts parts(size_t model, size_t tokenizer, Dice& dice) const;
  std::map<std::string, std::string> folder(size_t model, size_t tokenizer, Dice& dice) const;
  void mutate(std::map<std::string, std::string>& folder, Dice& dice) const;

  std::vector<Model> models_;
  std::vector<std::pair<std::string, std::vector<GgufParts::Key>>> keys_;          // of tokenizers in GGUF
  std::vector<std::pair<std::string, std::map<std::string, std::string>>> texts_;  // and in folders
  std::vector<std::string> templates_, words_;
};

}  // namespace godwit::testing
