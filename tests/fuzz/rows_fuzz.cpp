// Rows of raw files. The first byte chooses the syntax and how text is cut; the rest is the file.
#include "data/reader.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  if (size == 0) {
    return 0;
  }
  data::RowOptions options;
  constexpr data::FileSyntax kSyntaxes[] = {data::FileSyntax::kText, data::FileSyntax::kJson,
                                            data::FileSyntax::kCsv, data::FileSyntax::kTsv};
  options.syntax = kSyntaxes[data[0] & 3U];
  options.split = static_cast<data::TextSplit>((data[0] >> 2U) & 3U);
  options.separator = "---";
  options.max_row_bytes = 4096;
  const fs::path path = fuzz::put("rows", fuzz::text(data + 1, size - 1));
  fuzz::refuses_or_takes([&] {
    const auto rows = data::open_rows(posix_file_system(), path, options);
    data::Row row;
    while (rows->next(row)) {
      if (row.text.size() > 16 * options.max_row_bytes) {
        std::abort();
      }
    }
  });
  return 0;
}
