#pragma once

#include <memory>

#include "base/progress.h"
#include "data/tokenize.h"

namespace weft::data {

/// Shows TokenizeProgress as a live line, for TokenizeOptions::progress.
class TokenizeProgressLine {
 public:
  void show(const TokenizeProgress& at);
  /// Takes the line away.
  void finish() { line_.reset(); }

 private:
  TokenizeStage stage_ = TokenizeStage::kTokenizing;
  std::unique_ptr<ProgressLine> line_;
};

}  // namespace weft::data
