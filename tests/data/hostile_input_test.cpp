// Cases of docs/hostile-input.md that no other test has, and that the page is true.
#include <gmock/gmock.h>

#include <ctime>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/random.h"
#include "data/reader.h"
#include "data/tokenizer_nfc.h"
#include "tests/data/tokenizer_test_support.h"
#include "tests/support/temp_folder.h"

namespace weft::data {
namespace {

std::string file_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.insert((*it)[1].str() + "." + (*it)[2].str());
  }
  return found;
}

TEST(HostileInput, EveryTestOfTheTableExists) {
  const fs::path root = WEFT_SOURCE_DIR;
  std::set<std::string> tests;
  for (const auto& entry : fs::directory_iterator(root / "tests/data")) {
    if (entry.path().extension() == ".cpp") {
      tests.merge(matches(file_text(entry.path()), std::regex(R"(TEST(?:_F)?\((\w+),\s*(\w+)\))")));
    }
  }
  const auto named =
      matches(file_text(root / "docs/hostile-input.md"), std::regex(R"(`(\w+)\.(\w+)`)"));
  EXPECT_GT(named.size(), 30U);
  for (const std::string& name : named) {
    EXPECT_TRUE(tests.contains(name)) << name;
  }
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Seconds to encode `bytes` bytes of `unit` and back.
double seconds_for(std::string_view unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) {
    text += unit;
  }
  const double began = cpu_seconds();
  const auto ids = encode(tiny_tokenizer(), text);
  const double seconds = cpu_seconds() - began;
  EXPECT_EQ(tiny_tokenizer().decode(ids, false), text) << unit;
  return seconds;
}

TEST(HostileInput, TenMegabytesOfOneCharacterTakeLinearTime) {
  for (const std::string_view unit : {"a", "1", "\n", "!", "日"}) {
    const double one = std::max(seconds_for(unit, 1'000'000), 0.01);
    // Ten times the text: linear is ten times as long, quadratic a hundred times.
    EXPECT_LT(seconds_for(unit, 10'000'000), 40 * one) << unit;
  }
}

void append_utf8(std::string& text, unsigned code) {
  const auto byte = [&](unsigned value) { text += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0U | (code >> 6U));
  } else if (code < 0x10000) {
    byte(0xE0U | (code >> 12U));
    byte(0x80U | ((code >> 6U) & 0x3FU));
  } else {
    byte(0xF0U | (code >> 18U));
    byte(0x80U | ((code >> 12U) & 0x3FU));
    byte(0x80U | ((code >> 6U) & 0x3FU));
  }
  if (code >= 0x80) {
    byte(0x80U | (code & 0x3FU));
  }
}

TEST(HostileInput, AllCodePointsComeBack) {
  std::string text;
  for (unsigned code = 1; code <= 0x10FFFF; ++code) {
    if (code < 0xD800 || code > 0xDFFF) {
      append_utf8(text, code);
    }
  }
  std::string buffer;
  const std::string composed(normalize_nfc(text, buffer));
  EXPECT_EQ(tiny_tokenizer().decode(encode(tiny_tokenizer(), text), false), composed);
}

/// `text` with a few of its bytes changed, removed or doubled.
std::string mutated(std::string text, Random& random) {
  constexpr std::string_view kBytes("\0\n\r\t\"\\{}[]:,0\xff\xc3\xef", 16);
  for (std::uint64_t changes = 1 + random.below(5); changes > 0 && !text.empty(); --changes) {
    const std::size_t at = random.below(text.size());
    switch (random.below(3)) {
      case 0:
        text[at] = kBytes[random.below(kBytes.size())];
        break;
      case 1:
        text.erase(at, 1 + random.below(4));
        break;
      default:
        text.insert(at, text.substr(at, 1 + random.below(8)));
    }
  }
  return text;
}

TEST(HostileInput, MutatedRowsAreReadOrRefused) {
  const std::pair<std::string, FileSyntax> seeds[] = {
      {"\xEF\xBB\xBF{\"text\": \"a\"}\r\n{\"messages\": [{\"role\": \"user\", \"content\": "
       "\"h\"}]}\n",
       FileSyntax::kJson},
      {"[{\"ids\": [1, 2], \"labels\": [-100, 2]}, {\"text\": \"\\u00e9\"}]", FileSyntax::kJson},
      {"a,b\r\n1,\"x \"\"y\"\",\nz\"\n,\n", FileSyntax::kCsv},
      {"one\ntwo\n\n\nthree", FileSyntax::kText}};
  const test::TempFolder folder;
  Random random(31);
  for (int i = 0; i < 1000; ++i) {
    const auto& [text, syntax] = seeds[i % 4];
    write_file(folder / "rows", mutated(text, random));
    try {
      const auto rows = open_rows(posix_file_system(), folder / "rows",
                                  {.syntax = syntax, .separator = {}, .max_row_bytes = 64});
      Row row;
      for (int count = 0; rows->next(row); ++count) {
        ASSERT_LT(count, 200);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
    }
  }
}

TEST(HostileInput, AMillionAddedTokensAreReadOrRefusedInBoundedTime) {
  std::string text = file_text(fixture("tokenizer/tiny_bpe/tokenizer.json"));
  const std::size_t list = text.find("\"added_tokens\"");
  ASSERT_NE(list, std::string::npos);
  const std::size_t place = text.find('[', list) + 1;
  std::string more;
  for (int i = 0; i < 1'000'000; ++i) {
    more += "{\"id\":" + std::to_string(1'000'000 + i) + ",\"content\":\"<x" + std::to_string(i) +
            ">\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
            "\"special\":true},";
  }
  text.insert(place, more);
  const test::TempFolder folder;
  write_file(folder / "tokenizer.json", text);
  const double began = cpu_seconds();
  try {
    const auto tokenizer = load_tokenizer(posix_file_system(), folder.path());
    EXPECT_EQ(encode(*tokenizer, "<x999999>", SpecialTokens::kParse),
              (std::vector<std::int32_t>{1'999'999}));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr("tokenizer.json"));
  }
  EXPECT_LT(cpu_seconds() - began, 60);
}

}  // namespace
}  // namespace weft::data
