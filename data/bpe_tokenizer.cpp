#include "data/bpe_tokenizer.h"

#include <algorithm>
#include <utility>

#include "data/pretokenizer.h"
#include "data/tokenizer_nfc.h"

namespace weft::data {

namespace {

/// Calls `on_text` with what lies between the matches and `on_token` with each match's id.
template <typename OnText, typename OnToken>
void split_at_tokens(std::string_view text, const AddedTokenMatcher& matcher, OnText on_text,
                     OnToken on_token) {
  std::size_t done = 0;
  while (const auto match = matcher.find(text, done)) {
    if (match->begin > done) on_text(text.substr(done, match->begin - done));
    on_token(match->id);
    done = match->begin + match->size;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace

BpeTokenizer::BpeTokenizer(BpeDefinition definition)
    : vocabulary_(std::move(definition.vocabulary)),
      merges_(definition.merges),
      ideographs_(vocabulary_, definition.merges),
      added_(std::move(definition.added)),
      nfc_(definition.nfc) {
  const std::int32_t last = added_.all().empty() ? -1 : added_.all().back().id;
  bytes_.resize(static_cast<std::size_t>(std::max(vocabulary_.size(), last + 1)));
  special_.resize(bytes_.size());
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    bytes_[static_cast<std::size_t>(id)] = vocabulary_.bytes(id);
  }
  for (const AddedToken& token : added_.all()) {
    bytes_[static_cast<std::size_t>(token.id)] = token.content;
    special_[static_cast<std::size_t>(token.id)] = token.special;
  }
  whole_ =
      std::make_unique<std::atomic<std::uint8_t>[]>(static_cast<std::size_t>(vocabulary_.size()));
  sha256_ = fingerprint(definition);
}

std::string BpeTokenizer::fingerprint(const BpeDefinition& definition) const {
  Sha256 hash;
  hash_text(hash, nfc_ ? "weft.byte_level_bpe.qwen2.nfc" : "weft.byte_level_bpe.qwen2");
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) hash_text(hash, vocabulary_.bytes(id));
  for (const BpeMerge& merge : definition.merges) {
    hash_number(hash, merge.left);
    hash_number(hash, merge.right);
  }
  added_.fingerprint(hash);
  return hash.finish();
}

void BpeTokenizer::encode(std::string_view text, SpecialTokens special,
                          std::vector<std::int32_t>& out) const {
  Scratch scratch{.composed = {}, .word = {}, .cache = caches_.take()};
  if (special == SpecialTokens::kPlain) {
    encode_raw(text, special, scratch, out);
  } else {
    split_at_tokens(
        text, added_.raw(), [&](std::string_view part) { encode_raw(part, special, scratch, out); },
        [&](std::int32_t id) { out.push_back(id); });
  }
  caches_.give_back(std::move(scratch.cache));
}

void BpeTokenizer::encode_raw(std::string_view text, SpecialTokens special, Scratch& scratch,
                              std::vector<std::int32_t>& out) const {
  if (nfc_) text = normalize_nfc(text, scratch.composed);
  if (special == SpecialTokens::kPlain) return encode_pieces(text, scratch, out);
  split_at_tokens(
      text, added_.normalized(), [&](std::string_view part) { encode_pieces(part, scratch, out); },
      [&](std::int32_t id) { out.push_back(id); });
}

void BpeTokenizer::encode_pieces(std::string_view text, Scratch& scratch,
                                 std::vector<std::int32_t>& out) const {
  for (QwenSplitter pieces(text); !pieces.done();) encode_piece(pieces.next(), scratch, out);
}

void BpeTokenizer::encode_piece(std::string_view piece, Scratch& scratch,
                                std::vector<std::int32_t>& out) const {
  if (piece.size() == 1) {
    out.push_back(vocabulary_.byte_id(static_cast<std::uint8_t>(piece[0])));
    return;
  }
  const std::uint64_t hash = BpeVocabulary::hash_of(piece);
  const std::int32_t id = vocabulary_.find(piece, hash);
  if (id >= 0 && is_whole(piece, id, scratch)) {
    out.push_back(id);
    return;
  }
  if (const auto ids = scratch.cache->find(piece, hash); !ids.empty()) {
    out.insert(out.end(), ids.begin(), ids.end());
    return;
  }
  merge(piece, scratch.word);
  scratch.cache->put(piece, hash, scratch.word);
  out.insert(out.end(), scratch.word.begin(), scratch.word.end());
}

void BpeTokenizer::merge(std::string_view piece, std::vector<std::int32_t>& word) const {
  ideographs_.spell(piece, vocabulary_, word);
  merges_.apply(word);
}

bool BpeTokenizer::is_whole(std::string_view piece, std::int32_t id, Scratch& scratch) const {
  // Threads that race here find the same answer.
  std::atomic<std::uint8_t>& known = whole_[static_cast<std::size_t>(id)];
  std::uint8_t answer = known.load(std::memory_order_relaxed);
  if (answer == kUnknown) {
    merge(piece, scratch.word);
    answer = scratch.word.size() == 1 && scratch.word[0] == id ? kYes : kNo;
    known.store(answer, std::memory_order_relaxed);
  }
  return answer == kYes;
}

std::string BpeTokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size() || (skip_special && is_special(id))) continue;
    text += bytes_[static_cast<std::size_t>(id)];
  }
  return text;
}

std::string BpeTokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return std::string(bytes_[static_cast<std::size_t>(id)]);
}

std::optional<std::int32_t> BpeTokenizer::token_id(std::string_view added_token) const {
  return added_.id(added_token);
}

bool BpeTokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<std::size_t>(id)];
}

}  // namespace weft::data
