#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/file_system.h"
#include "data/document.h"

namespace weft::data {

/// How documents become samples of a Cerebras token file (cerebras.h).
struct CerebrasLayout {
  std::int64_t length = 0;  ///< positions of a sample
  std::int32_t pad_id = 0;  ///< what fills it up
  bool packed = false;      ///< several documents a sample, with attention spans and positions
  std::int64_t vocab_size = 0;
};

/// Writes samples into FOLDER/output_chunk_00000.h5, … of about 64 MiB before compression each,
/// with the attribute n_examples, and FOLDER/data_params.json when finish() is called.
class CerebrasWriter {
 public:
  /// `files` must outlive the writer; `folder` must exist.
  CerebrasWriter(FileSystem& files, fs::path folder, CerebrasLayout layout);

  /// Adds a sample of these documents, which must fit (fits()); one where the layout is not packed.
  void add(std::span<const Document> documents);
  /// Whether documents of so many tokens together fit into a sample.
  [[nodiscard]] bool fits(std::int64_t tokens) const;
  void finish();

  [[nodiscard]] std::int64_t samples() const { return samples_; }

 private:
  void write_file();
  void write_parameters();
  [[nodiscard]] std::int64_t features() const { return layout_.packed ? 5 : 3; }

  FileSystem& files_;
  fs::path folder_;
  CerebrasLayout layout_;
  std::vector<std::int32_t> values_;  ///< of the file that is being filled
  std::int64_t samples_ = 0;
  std::int64_t written_files_ = 0;
};

}  // namespace weft::data
