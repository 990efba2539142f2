#include "data/tokenizer_diff.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

std::unordered_map<std::string, std::int32_t> tokens_of(const Tokenizer& tokenizer) {
  std::unordered_map<std::string, std::int32_t> tokens;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (std::string bytes = tokenizer.token_bytes(id); !bytes.empty()) {
      tokens.emplace(std::move(bytes), id);
    }
  }
  return tokens;
}

/// Tokens of `tokenizer`, in order, that `other` lacks.
std::vector<std::string> missing(const Tokenizer& tokenizer,
                                 const std::unordered_map<std::string, std::int32_t>& other) {
  std::vector<std::string> result;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    std::string bytes = tokenizer.token_bytes(id);
    if (!bytes.empty() && !other.contains(bytes)) result.push_back(std::move(bytes));
  }
  return result;
}

/// The tokens of one text, taken one by one.
class Cuts {
 public:
  Cuts(const Tokenizer& tokenizer, std::string_view text, SpecialTokens special)
      : tokenizer_(tokenizer) {
    tokenizer.encode(text, special, ids_);
    for (const std::int32_t id : ids_) text_ += tokenizer.token_bytes(id);
  }

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool done() const { return next_ == ids_.size(); }
  [[nodiscard]] std::size_t end() const { return end_; }

  void take(std::vector<std::string>& tokens, std::vector<std::int32_t>& ids) {
    ids.push_back(ids_[next_++]);
    tokens.push_back(tokenizer_.token_bytes(ids.back()));
    end_ += tokens.back().size();
  }

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> ids_;
  std::string text_;
  std::size_t next_ = 0;
  std::size_t end_ = 0;
};

}  // namespace

VocabularyDiff diff_vocabularies(const Tokenizer& first, const Tokenizer& second) {
  const auto left = tokens_of(first);
  const auto right = tokens_of(second);
  VocabularyDiff diff;
  diff.only_first = missing(first, right);
  diff.only_second = missing(second, left);
  for (const auto& [bytes, id] : left) {
    const auto found = right.find(bytes);
    if (found != right.end()) ++(found->second == id ? diff.same : diff.moved);
  }
  return diff;
}

std::vector<TextDiffPart> diff_text(const Tokenizer& first, const Tokenizer& second,
                                    std::string_view text, SpecialTokens special) {
  Cuts left(first, text, special);
  Cuts right(second, text, special);
  if (left.text() != right.text()) {
    const auto at = static_cast<std::size_t>(std::mismatch(left.text().begin(), left.text().end(),
                                                           right.text().begin(), right.text().end())
                                                 .first -
                                             left.text().begin());
    fail_data("the tokenizers keep the text differently, from byte {} on: {} and {}", at,
              printable(left.text().substr(at, 20)), printable(right.text().substr(at, 20)));
  }
  std::vector<TextDiffPart> parts;
  while (!left.done() || !right.done()) {
    TextDiffPart& part = parts.emplace_back();
    part.begin = left.end();
    do {
      const bool from_left = !left.done() && (right.done() || left.end() <= right.end());
      from_left ? left.take(part.first, part.first_ids) : right.take(part.second, part.second_ids);
    } while (left.end() != right.end());
  }
  return parts;
}

}  // namespace weft::data
