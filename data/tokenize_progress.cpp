#include "data/tokenize_progress.h"

#include <fmt/format.h>

#include "base/text.h"

namespace weft::data {

void TokenizeProgressLine::show(const TokenizeProgress& at) {
  const bool hashing = at.stage == TokenizeStage::kHashing;
  if (line_ == nullptr || stage_ != at.stage) {
    line_.reset();
    stage_ = at.stage;
    line_ = std::make_unique<ProgressLine>(hashing ? "reading inputs" : "tokenising",
                                           at.total_bytes, "bytes");
    line_->start_from(at.resumed_bytes);
  }
  line_->update(at.bytes,
                hashing ? std::string()
                        : fmt::format("{} tokens", human_count(static_cast<double>(at.tokens))));
}

}  // namespace weft::data
