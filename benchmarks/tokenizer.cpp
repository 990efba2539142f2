// Encodes the texts of a JSON Lines file once, on one thread, with a tokenizer that was just
// loaded. Prints one JSON object: seconds of processor time, tokens, bytes, and the SHA-256 of all
// ids as little-endian int32, by which benchmarks/tokenizer_speed.py sees that its programs did the
// same.
//
//   weft_bench_tokenizer MODEL-FOLDER FILE.jsonl

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/tokenizer.h"

namespace {

std::vector<std::string> read_texts(const std::string& path) {
  const std::string rows = weft::read_file(weft::posix_file_system(), path);
  std::vector<std::string> texts;
  for (const std::string_view line : weft::split(rows, '\n')) {
    if (!line.empty())
      texts.push_back(weft::json_string(weft::parse_json(line, path), "text", path));
  }
  return texts;
}

void run(const std::string& model, const std::string& path) {
  const std::vector<std::string> texts = read_texts(path);
  const auto tokenizer = weft::data::load_tokenizer(weft::posix_file_system(), model);
  std::vector<std::vector<std::int32_t>> ids(texts.size());
  const std::clock_t begin = std::clock();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    tokenizer->encode(texts[i], weft::data::SpecialTokens::kPlain, ids[i]);
  }
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  weft::Sha256 hash;
  std::size_t tokens = 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    tokens += ids[i].size();
    bytes += texts[i].size();
    hash.update({reinterpret_cast<const char*>(ids[i].data()), ids[i].size() * sizeof(ids[i][0])});
  }
  fmt::print("{{\"seconds\": {}, \"tokens\": {}, \"bytes\": {}, \"sha256\": \"{}\"}}\n", seconds,
             tokens, bytes, hash.finish());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: weft_bench_tokenizer MODEL-FOLDER FILE.jsonl\n", stderr);
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft_bench_tokenizer: %s\n", error.what());
    return 1;
  }
  return 0;
}
