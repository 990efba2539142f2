#include "data/tokenize_progress.h"

#include <fmt/format.h>

#include "base/text.h"

namespace weft::data {

void TokenizeProgressLine::show(const TokenizeProgress& at) {
  const bool tokenizing = at.stage == TokenizeStage::kTokenizing;
  if (line_ == nullptr || stage_ != at.stage) {
    line_.reset();
    stage_ = at.stage;
    const char* const name = tokenizing                            ? "tokenising"
                             : at.stage == TokenizeStage::kHashing ? "reading inputs"
                                                                   : "reading rows";
    line_ = std::make_unique<ProgressLine>(name, at.total_bytes, "bytes");
    line_->start_from(at.resumed_bytes);
  }
  line_->update(at.bytes,
                tokenizing ? fmt::format("{} tokens", human_count(static_cast<double>(at.tokens)))
                           : std::string());
}

}  // namespace weft::data
