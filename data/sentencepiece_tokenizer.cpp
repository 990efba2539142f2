#include "data/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "data/sentencepiece_model.h"
#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

bool looks_special(std::string_view text) { return text.starts_with("<|") && text.ends_with("|>"); }

bool is_chat_tag(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTags{
      "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"};
  return std::find(kTags.begin(), kTags.end(), text) != kTags.end();
}

bool is_added(const SentencePiece& piece) {
  return piece.type == SentencePiece::kControl ||
         (piece.type == SentencePiece::kUserDefined &&
          (looks_special(piece.text) || is_chat_tag(piece.text)));
}

/// What a piece adds to the text.
std::string surface(const SentencePiece& piece, bool escaped_spaces) {
  constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
  if (piece.type == SentencePiece::kUnknown) return " \xE2\x81\x87 ";
  if (piece.type == SentencePiece::kByte) {
    return std::string(1, static_cast<char>(sentencepiece_byte(piece.text)));
  }
  if (!escaped_spaces || is_added(piece)) return piece.text;
  std::string text = piece.text;
  for (std::size_t at = 0; (at = text.find(kSpace, at)) != text.npos; ++at) {
    text.replace(at, kSpace.size(), 1, ' ');
  }
  return text;
}

/// Makes the library treat every added token as a control piece. The type is one byte in the file,
/// and stays one.
void hide_added(const SentencePieceModel& model, std::string& bytes) {
  for (const SentencePiece& piece : model.pieces) {
    if (is_added(piece)) bytes[piece.type_offset] = static_cast<char>(SentencePiece::kControl);
  }
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(std::string bytes, std::string_view name)
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()),
      sha256_(sha256_hex(bytes)) {
  const SentencePieceModel model = read_sentencepiece_model(bytes, name);
  dummy_prefix_ = model.add_dummy_prefix;
  std::vector<AddedToken> added;
  std::int32_t id = 0;
  for (const SentencePiece& piece : model.pieces) {
    if (is_added(piece)) added.push_back({id, piece.text, false, false});
    if (piece.type == SentencePiece::kUnknown) byte_ids_.fill(id);
    bytes_.push_back(surface(piece, model.escape_whitespaces));
    special_.push_back(piece.type == SentencePiece::kControl || looks_special(piece.text));
    ++id;
  }
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    if (model.pieces[i].type != SentencePiece::kByte) continue;
    const auto byte = static_cast<std::size_t>(sentencepiece_byte(model.pieces[i].text));
    byte_ids_[byte] = static_cast<std::int32_t>(i);
  }
  added_ = AddedTokens(std::move(added), name);
  hide_added(model, bytes);
  const auto status = processor_->LoadFromSerializedProto(bytes);
  if (!status.ok()) {
    fail_data("{}: SentencePiece refuses the model: {}", name, status.error_message());
  }
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

void SentencePieceTokenizer::encode(std::string_view text, SpecialTokens special,
                                    std::vector<std::int32_t>& out) const {
  if (special == SpecialTokens::kPlain) return encode_text(text, out);
  std::size_t done = 0;
  while (const auto match = added_.raw().find(text, done)) {
    encode_text(text.substr(done, match->begin - done), out);
    out.push_back(match->id);
    done = match->begin + match->size;
  }
  encode_text(text.substr(done), out);
}

/// The library would replace bytes that are not UTF-8.
void SentencePieceTokenizer::encode_text(std::string_view text,
                                         std::vector<std::int32_t>& out) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_char_at(text, at);
    if (c.code_point == kInvalidByte) {
      encode_utf8(text.substr(done, at - done), out);
      out.push_back(byte_ids_[static_cast<std::uint8_t>(text[at])]);
      done = at + c.size;
    }
    at += c.size;
  }
  encode_utf8(text.substr(done), out);
}

void SentencePieceTokenizer::encode_utf8(std::string_view text,
                                         std::vector<std::int32_t>& out) const {
  if (text.empty()) return;
  std::vector<int> ids;
  const auto status = processor_->Encode(text, &ids);
  if (!status.ok()) {  // a model whose normaliser is damaged, which loading does not notice
    fail_data("the SentencePiece model cannot encode a text: {}; is its file damaged?",
              status.error_message());
  }
  out.insert(out.end(), ids.begin(), ids.end());
}

std::string SentencePieceTokenizer::decode(std::span<const std::int32_t> ids,
                                           bool skip_special) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size() || (skip_special && is_special(id))) continue;
    text += bytes_[static_cast<std::size_t>(id)];
  }
  if (dummy_prefix_ && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

std::string SentencePieceTokenizer::token_bytes(std::int32_t id) const {
  return id < 0 || id >= vocab_size() ? std::string() : bytes_[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> SentencePieceTokenizer::token_id(std::string_view added_token) const {
  return added_.id(added_token);
}

bool SentencePieceTokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<std::size_t>(id)];
}

}  // namespace weft::data
