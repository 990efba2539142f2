#pragma once

#include <string>
#include <string_view>

namespace weft::data {

/// `text` in Unicode's composed form (NFC), as Hugging Face's `tokenizers` composes it: characters
/// that came after the Unicode version of its tables are left alone, although the library below
/// knows them. Bytes that are not UTF-8 stay as they are.
///
/// Returns `text` itself when it is composed already, which costs one scan; otherwise a view into
/// `buffer`, whose contents are replaced. Time is n log n also for endless runs of combining marks.
[[nodiscard]] std::string_view normalize_nfc(std::string_view text, std::string& buffer);

}  // namespace weft::data
