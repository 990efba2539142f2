#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace weft::data {

/// What a row of any shape says, in one form, before it is tokenised.
struct Sample {
  /// One document to be: a chat, or a plain text after a prompt that is not trained.
  struct Part {
    /// As render_chat takes it; null for plain text. Messages with "train": false are not targets.
    Json conversation;
    std::string prompt;
    std::string text;
  };

  /// None: the row says nothing. Two: a preference pair, what was chosen first.
  std::vector<Part> parts;
  std::optional<bool> desirable;  ///< of a row that was judged good or bad by itself

  /// Equal for equal samples and different for others.
  [[nodiscard]] std::string canonical() const;
};

}  // namespace weft::data
