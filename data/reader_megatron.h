#pragma once

#include <cstdint>
#include <memory>

#include "data/reader.h"

namespace weft::data {

/// The documents of a Megatron pair (megatron.h), named by its .idx, as rows of ids all of which
/// are targets: {"ids": […], "labels": […]}. A row's line is the number of the document, from 1. A
/// data Error for a document whose row would be over max_row_bytes.
[[nodiscard]] std::unique_ptr<RowReader> open_megatron_rows(FileSystem& files, const fs::path& path,
                                                            std::uint64_t max_row_bytes);

}  // namespace weft::data
