#include "data/ids_tokenizer.h"

#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace weft::data {
namespace {

class IdsTokenizer final : public Tokenizer {
 public:
  IdsTokenizer(std::int64_t vocab_size, std::string model)
      : vocab_size_(vocab_size),
        model_(std::move(model)),
        sha256_(sha256_hex(fmt::format("ids without a tokenizer: {}", vocab_size))) {}

  void encode(std::string_view, SpecialTokens, std::vector<std::int32_t>&) const override {
    refuse();
  }
  std::string decode(std::span<const std::int32_t>, bool) const override { refuse(); }
  std::string token_bytes(std::int32_t) const override { refuse(); }
  std::optional<std::int32_t> token_id(std::string_view) const override { return std::nullopt; }
  bool is_special(std::int32_t) const override { return false; }
  std::int64_t vocab_size() const override { return vocab_size_; }
  const std::string& sha256() const override { return sha256_; }

 private:
  [[noreturn]] void refuse() const {
    fail_data(
        "{}: holds no tokenizer, so only rows of ids and shards can be used; add tokenizer.json "
        "for text",
        model_);
  }

  std::int64_t vocab_size_;
  std::string model_;
  std::string sha256_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_ids_tokenizer(std::int64_t vocab_size, const fs::path& model) {
  return std::make_unique<IdsTokenizer>(vocab_size, model.string());
}

}  // namespace weft::data
