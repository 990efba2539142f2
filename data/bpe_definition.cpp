#include "data/bpe_definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

BpeVocabulary read_vocabulary(const Json& vocab, std::string_view name) {
  if (!vocab.is_object()) fail_data("{}: the vocabulary is not a JSON object of ids", name);
  std::vector<BpeVocabulary::Token> tokens;
  tokens.reserve(vocab.size());
  for (const auto& [spelled, id] : vocab.items()) {
    if (!id.is_number_integer()) {
      fail_data("{}: the id of the token {} is not an integer", name, printable(spelled));
    }
    // A huge unsigned number reads as a negative one here, and is refused as such.
    const auto value = id.get<std::int64_t>();
    if (value < 0 || value >= kMaxTokenId) {
      fail_data("{}: the token {} has id {}, outside 0 to {}", name, printable(spelled),
                dump_json(id), kMaxTokenId - 1);
    }
    auto bytes = unspell_bytes(spelled);
    if (!bytes) {
      fail_data("{}: the token {} is not written in the byte characters of a byte-level vocabulary",
                name, printable(spelled));
    }
    tokens.push_back({std::move(*bytes), static_cast<std::int32_t>(value)});
  }
  return {tokens, name};
}

std::int32_t BpeMergeReader::find(const std::string& bytes, std::string_view line) const {
  const std::int32_t id = vocabulary_.find(bytes);
  if (id < 0) {
    fail_data("{}: merge {} ({}): the vocabulary has no token {}", name_, merges_.size(),
              printable(line), printable(bytes));
  }
  return id;
}

void BpeMergeReader::add(std::string_view left, std::string_view right) {
  const std::string line = fmt::format("{} {}", left, right);
  const auto left_bytes = unspell_bytes(left);
  const auto right_bytes = unspell_bytes(right);
  if (!left_bytes || !right_bytes || left_bytes->empty() || right_bytes->empty()) {
    fail_data("{}: merge {} ({}) is not two tokens in byte characters", name_, merges_.size(),
              printable(line));
  }
  merges_.push_back({.left = find(*left_bytes, line),
                     .right = find(*right_bytes, line),
                     .merged = find(*left_bytes + *right_bytes, line)});
}

void BpeMergeReader::add(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == line.npos) {
    fail_data("{}: merge {} ({}) is not two tokens with a space between", name_, merges_.size(),
              printable(line));
  }
  add(line.substr(0, space), line.substr(space + 1));
}

std::vector<BpeMerge> BpeMergeReader::finish() {
  std::vector<std::array<std::int32_t, 2>> pairs;
  pairs.reserve(merges_.size());
  for (const BpeMerge& merge : merges_) pairs.push_back({merge.left, merge.right});
  std::sort(pairs.begin(), pairs.end());
  const auto twice = std::adjacent_find(pairs.begin(), pairs.end());
  if (twice != pairs.end()) {
    fail_data("{}: the merge of {} and {} stands twice", name_,
              printable(vocabulary_.bytes((*twice)[0])), printable(vocabulary_.bytes((*twice)[1])));
  }
  return std::move(merges_);
}

AddedToken read_added_token(const Json& entry, std::int64_t id, std::string_view name) {
  if (!entry.is_object()) fail_data("{}: an added token is not a JSON object", name);
  AddedToken token;
  token.content = json_string(entry, "content", name);
  if (id < 0 || id >= kMaxTokenId) {
    fail_data("{}: the added token {} has id {}, outside 0 to {}", name, printable(token.content),
              id, kMaxTokenId - 1);
  }
  token.id = static_cast<std::int32_t>(id);
  const auto flag = [&](std::string_view key) {
    return json_find(entry, key) != nullptr && json_bool(entry, key, name);
  };
  token.special = flag("special");
  token.normalized = flag("normalized");
  for (const std::string_view key : {"lstrip", "rstrip", "single_word"}) {
    if (flag(key)) {
      fail_data("{}: the added token {} has {} set, which weft does not do", name,
                printable(token.content), key);
    }
  }
  return token;
}

void check_added_tokens(const BpeVocabulary& vocabulary, const AddedTokens& added,
                        std::string_view name) {
  for (const AddedToken& token : added.all()) {
    const std::string_view other = vocabulary.bytes(token.id);
    if (!other.empty() && other != token.content) {
      fail_data("{}: the added token {} has id {}, which is the id of the token {}", name,
                printable(token.content), token.id, printable(other));
    }
    const std::int32_t id = vocabulary.find(token.content);
    if (id >= 0 && id != token.id) {
      fail_data("{}: the added token {} has id {}, but in the vocabulary it has id {}", name,
                printable(token.content), token.id, id);
    }
  }
}

}  // namespace weft::data
