#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "data/reader.h"

namespace weft::data {

/// The documents of a Cerebras token file (cerebras.h) as rows of ids (ids_row.h). A row's line is
/// the number of its sample, from 1. A data Error where a document's row can be over max_row_bytes.
[[nodiscard]] std::unique_ptr<RowReader> open_cerebras_rows(
    FileSystem& files, const fs::path& path, std::optional<std::int64_t> stream_tokens,
    std::uint64_t max_row_bytes);

}  // namespace weft::data
