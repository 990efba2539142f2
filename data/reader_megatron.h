#pragma once

#include <cstdint>
#include <memory>

#include "data/reader.h"

namespace weft::data {

/// The documents of a Megatron pair (megatron.h), named by its .idx, as rows of ids (ids_row.h).
/// All are targets but where a NAME.mask.idx beside it says otherwise. A row's line is the number
/// of the document, from 1. Data Errors for a document whose row can be over max_row_bytes, and for
/// masks of other documents.
[[nodiscard]] std::unique_ptr<RowReader> open_megatron_rows(FileSystem& files, const fs::path& path,
                                                            std::uint64_t max_row_bytes);

}  // namespace weft::data
