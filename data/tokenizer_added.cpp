#include "data/tokenizer_added.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/tokenizer_nfc.h"

namespace weft::data {

namespace {

constexpr std::size_t kMaxAddedTokens = 100'000;
constexpr std::size_t kMaxNameBytes = 512;

void check_name(const AddedToken& token, std::string_view name) {
  if (token.content.empty() || token.content.size() > kMaxNameBytes) {
    fail_data("{}: the added token with id {} has a name of {} bytes, expected 1 to {}", name,
              token.id, token.content.size(), kMaxNameBytes);
  }
  if (token.id < 0 || token.id >= kMaxTokenId) {
    fail_data("{}: the added token {} has id {}, outside 0 to {}", name, printable(token.content),
              token.id, kMaxTokenId - 1);
  }
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<std::pair<std::string, std::int32_t>> tokens)
    : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end());
  for (const auto& [content, id] : tokens_) {
    if (first_bytes_.empty() || first_bytes_.back() != content[0]) first_bytes_ += content[0];
  }
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                std::size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (std::size_t at = from;; ++at) {
    // A search for one byte is far faster than one for any of several.
    at = first_bytes_.size() == 1 ? text.find(first_bytes_[0], at)
                                  : text.find_first_of(first_bytes_, at);
    if (at == text.npos) return std::nullopt;
    if (const auto match = match_at(text, at)) return match;
  }
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::match_at(std::string_view text,
                                                                    std::size_t at) const {
  std::optional<Match> longest;
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  // Each round keeps the names that agree with the text in one more byte; a name that ends there is
  // the first of them.
  for (std::size_t size = 0; begin != end; ++size) {
    if (begin->first.size() == size) {
      longest = Match{at, size, begin->second};
      if (++begin == end) break;
    }
    if (at + size == text.size()) break;
    const auto wanted = static_cast<unsigned char>(text[at + size]);
    const auto byte = [size](const auto& token) {
      return static_cast<unsigned char>(token.first[size]);
    };
    begin = std::lower_bound(begin, end, wanted,
                             [&](const auto& token, auto value) { return byte(token) < value; });
    end = std::upper_bound(begin, end, wanted,
                           [&](auto value, const auto& token) { return value < byte(token); });
  }
  return longest;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, std::string_view name)
    : tokens_(std::move(tokens)) {
  if (tokens_.size() > kMaxAddedTokens) {
    fail_data("{}: {} added tokens, more than the {} that weft accepts", name, tokens_.size(),
              kMaxAddedTokens);
  }
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  std::vector<std::pair<std::string, std::int32_t>> raw;
  std::vector<std::pair<std::string, std::int32_t>> normalized;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    check_name(token, name);
    if (i > 0 && tokens_[i - 1].id == token.id) {
      fail_data("{}: the added tokens {} and {} both have id {}", name,
                printable(tokens_[i - 1].content), printable(token.content), token.id);
    }
    if (!ids_.emplace(token.content, token.id).second) {
      fail_data("{}: the added token {} stands twice, with ids {} and {}", name,
                printable(token.content), ids_[token.content], token.id);
    }
    std::string buffer;
    if (token.normalized) {
      normalized.emplace_back(normalize_nfc(token.content, buffer), token.id);
    } else {
      raw.emplace_back(token.content, token.id);
    }
  }
  raw_ = AddedTokenMatcher(std::move(raw));
  normalized_ = AddedTokenMatcher(std::move(normalized));
}

std::optional<std::int32_t> AddedTokens::id(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

void AddedTokens::fingerprint(Sha256& hash) const {
  hash_number(hash, static_cast<std::int64_t>(tokens_.size()));
  for (const AddedToken& token : tokens_) {
    hash_number(hash, token.id);
    hash_text(hash, token.content);
  }
}

void hash_number(Sha256& hash, std::int64_t number) { hash.update(std::to_string(number) + ','); }

void hash_text(Sha256& hash, std::string_view text) {
  hash_number(hash, static_cast<std::int64_t>(text.size()));
  hash.update(text);
}

}  // namespace weft::data
