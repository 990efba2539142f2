#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/shard_set.h"
#include "data/tokenize.h"
#include "shard_test_support.h"
#include "tokenize_test_support.h"

namespace weft::data {

/// A fixture that tokenises files of its folder into `shards` in it, with ByteTokenizer.
class TokenizeFolderTest : public FolderTest {
 protected:
  TokenizeInput input(const std::string& name, std::string_view text) {
    TokenizeInput made;
    made.path = put(name, text);
    return made;
  }

  TokenizeResult tokenize(std::vector<TokenizeInput> inputs, const TokenizeOptions& options = {}) {
    return tokenize_to_shards(files_, inputs, tokenizer_, options, out());
  }

  [[nodiscard]] fs::path out() const { return folder_ / "shards"; }

  [[nodiscard]] std::vector<Document> documents() {
    const ShardSet set(files_, out(), {.tokenizer_sha256 = tokenizer_.sha256()});
    std::vector<Document> all;
    for (std::int64_t i = 0; i < set.documents(); ++i) {
      Document& document = all.emplace_back();
      document.source = set.source(i);
      set.read(i, std::int64_t{1} << 40, document.ids, document.mask);
    }
    return all;
  }

  /// The texts of all documents with control tokens left out.
  [[nodiscard]] std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (const Document& document : documents()) {
      all.push_back(tokenizer_.decode(document.ids, true));
    }
    return all;
  }

  /// What tokenising one file named `name` says.
  std::string refusal(const std::string& name, std::string_view text,
                      ErrorKind kind = ErrorKind::kData) {
    const std::string message = error_of([&] { tokenize({input(name, text)}); }, kind);
    EXPECT_FALSE(fs::exists(out()));
    return message;
  }

  ByteTokenizer tokenizer_;
};

}  // namespace weft::data
