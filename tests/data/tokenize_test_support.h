#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer.h"

namespace weft::data {

/// One token for each byte, and Qwen3's control tokens: small enough to write expected ids by hand.
class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr std::int32_t kEnd = 256;
  static constexpr std::int32_t kTurnStart = 257;
  static constexpr std::int32_t kTurnEnd = 258;

  explicit ByteTokenizer(char digest = '1') : sha256_(64, digest) {}

  void encode(std::string_view text, SpecialTokens special,
              std::vector<std::int32_t>& out) const override {
    while (!text.empty()) {
      const auto control = special == SpecialTokens::kParse ? control_at(text) : std::nullopt;
      out.push_back(control ? control->second : static_cast<unsigned char>(text.front()));
      text.remove_prefix(control ? control->first.size() : 1);
    }
  }
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids, bool) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      text += token_bytes(id);
    }
    return text;
  }
  [[nodiscard]] std::string token_bytes(std::int32_t id) const override {
    return id < kEnd ? std::string(1, static_cast<char>(id)) : std::string();
  }
  [[nodiscard]] std::optional<std::int32_t> token_id(std::string_view name) const override {
    const auto control = control_at(name);
    return control && control->first == name ? std::optional(control->second) : std::nullopt;
  }
  [[nodiscard]] bool is_special(std::int32_t id) const override { return id >= kEnd; }
  [[nodiscard]] std::int64_t vocab_size() const override { return 259; }
  [[nodiscard]] const std::string& sha256() const override { return sha256_; }

 private:
  using Control = std::pair<std::string_view, std::int32_t>;

  [[nodiscard]] static std::optional<Control> control_at(std::string_view text) {
    static constexpr std::array<Control, 3> kControls{
        {{"<|endoftext|>", kEnd}, {"<|im_start|>", kTurnStart}, {"<|im_end|>", kTurnEnd}}};
    for (const Control& control : kControls) {
      if (text.starts_with(control.first)) {
        return control;
      }
    }
    return std::nullopt;
  }

  std::string sha256_;
};

/// The ids of `text` with its control tokens, as ByteTokenizer gives them.
inline std::vector<std::int32_t> byte_ids(std::string_view text) {
  std::vector<std::int32_t> ids;
  ByteTokenizer().encode(text, SpecialTokens::kParse, ids);
  return ids;
}

}  // namespace weft::data
