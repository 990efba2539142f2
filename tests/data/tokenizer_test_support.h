#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/tokenizer.h"

namespace weft::data {

inline fs::path fixture(std::string_view name) {
  return fs::path(WEFT_SOURCE_DIR) / "tests/fixtures" / name;
}

/// The folder of the real Qwen3 tokenizer, where the machine has it.
inline std::optional<fs::path> real_tokenizer_folder() {
  const char* data = std::getenv("WEFT_TEST_DATA");
  if (data == nullptr) return std::nullopt;
  const fs::path folder = fs::path(data) / "qwen3-tokenizer";
  return fs::exists(folder) ? std::optional(folder) : std::nullopt;
}

inline const Tokenizer& tiny_tokenizer() {
  static const std::unique_ptr<Tokenizer> kTokenizer =
      load_tokenizer(posix_file_system(), fixture("tokenizer/tiny_bpe"));
  return *kTokenizer;
}

/// The rows of a fixture.
inline std::vector<Json> read_rows(std::string_view name) {
  std::vector<Json> rows;
  std::ifstream file(fixture(name));
  for (std::string line; std::getline(file, line);) rows.push_back(parse_json(line, name));
  return rows;
}

inline std::vector<std::int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                                        SpecialTokens special = SpecialTokens::kPlain) {
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, special, ids);
  return ids;
}

inline void write_file(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace weft::data
