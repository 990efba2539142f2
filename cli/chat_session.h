#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/load_model.h"
#include "trainer/generate.h"

namespace weft::cli {

/// Prints tokens as text while they come, holding back what would split a character.
class TokenPrinter {
 public:
  TokenPrinter(const data::Tokenizer& tokenizer, bool live) : tokenizer_(tokenizer), live_(live) {}

  void add(std::int32_t id);
  /// Everything so far, special tokens left out, bytes that are no characters replaced.
  [[nodiscard]] std::string text() const;
  void finish();

 private:
  const data::Tokenizer& tokenizer_;
  bool live_;
  std::string pending_;
  std::vector<std::int32_t> ids_;
};

/// A conversation with a model: keeps its turns.
class ChatSession {
 public:
  ChatSession(const LoadedModel& loaded, trainer::SamplingOptions sampling, bool thinking);

  void set_system(const std::string& text);
  /// Appends the user's turn and the model's answer, which is printed as it comes when `live`;
  /// returns the answer's text.
  std::string answer(const std::string& user, bool live);
  [[nodiscard]] const trainer::Generation& last() const { return last_; }

 private:
  const LoadedModel& loaded_;
  trainer::SamplingOptions sampling_;
  bool thinking_;
  Json messages_ = Json::array();
  trainer::Generation last_;
};

}  // namespace weft::cli
