#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_system.h"

namespace weft::trainer {

inline constexpr std::string_view kManifestName = "MANIFEST.json";
inline constexpr std::string_view kTrainerStateName = "trainer_state.json";

struct FileRecord {
  std::uint64_t bytes = 0;
  std::string sha256;

  bool operator==(const FileRecord&) const = default;
};

/// What makes a folder a checkpoint: it is written last, and names every file with its size and
/// SHA-256.
struct Manifest {
  std::int64_t step = 0;
  std::map<std::string, FileRecord> files;
};

/// A checkpoint of a format that only a newer weft reads. Falling back to an older checkpoint would
/// throw work away without need, so this is not treated as damage.
class NewerFormatError : public Error {
 public:
  explicit NewerFormatError(const std::string& message) : Error(ErrorKind::kData, message) {}
};

/// The manifest as a file; its last key is a digest of the rest, so that any changed byte shows.
[[nodiscard]] std::string manifest_text(const Manifest& manifest);

/// Back from text. A data Error that starts with `name`; NewerFormatError for a newer format
/// version.
[[nodiscard]] Manifest parse_manifest(std::string_view text, std::string_view name);

/// Reads a folder's manifest. With `contents` also reads every file that it lists and compares size
/// and SHA-256; else compares sizes only. A data Error names the file and what is wrong with it.
Manifest verify_checkpoint(FileSystem& files, const fs::path& folder, bool contents);

}  // namespace weft::trainer
